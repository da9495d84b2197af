/** What became of one place where a browser could have been. */
export interface Attempt {
  /** `CHROME_PATH=/opt/chrome`, `/usr/bin/chromium`, `@sparticuz/chromium@...` */
  readonly place: string;
  readonly outcome: string;
}

/** No place has a Chromium that starts and gives WebGPU. */
export class ChromiumMissingError extends Error {
  readonly attempts: readonly Attempt[];

  constructor(attempts: readonly Attempt[]) {
    const tried = attempts.map(({ place, outcome }) => `${place}: ${outcome}`).join('; ');
    super(
      `no Chromium with WebGPU was found (${tried}). Install one ("apt-get install chromium") or set CHROME_PATH to its program.`,
    );
    this.name = 'ChromiumMissingError';
    this.attempts = attempts;
  }
}
