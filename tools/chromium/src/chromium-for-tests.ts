import type { Browser } from 'playwright-core';
import { ChromiumMissingError } from './errors.ts';
import { type ChromiumProgram, findChromium } from './find-chromium.ts';
import { type LaunchOptions, launchChromium } from './launch-chromium.ts';

/** The browser of a test file, or why there is none. */
export interface TestChromium {
  /** Undefined where a browser was found. It belongs into the names of the tests that are skipped. */
  readonly missing: string | undefined;
  /** Starts the browser that was found; the caller closes it. @throws ChromiumMissingError where there is none */
  launch(options?: Pick<LaunchOptions, 'webGpu'>): Promise<Browser>;
}

let found: Promise<ChromiumProgram> | undefined;

/**
 * Looks for a browser once per process. Where none is, tests are skipped by name with the reason:
 *
 * ```ts
 * const chromium = await chromiumForTests();
 * describe.skipIf(chromium.missing)(`the page${chromium.missing ? ` (${chromium.missing})` : ''}`, () => { ... });
 * ```
 *
 * @throws ChromiumMissingError if none is found and `SACCADE_REQUIRE_CHROMIUM` is 1, so that a run that must have a browser
 * cannot pass by skipping
 */
export async function chromiumForTests(environment: NodeJS.ProcessEnv = process.env): Promise<TestChromium> {
  found ??= findChromium(environment);
  try {
    const program = await found;
    return { missing: undefined, launch: (options) => launchChromium({ ...options, program }) };
  } catch (error) {
    if (!(error instanceof ChromiumMissingError) || environment.SACCADE_REQUIRE_CHROMIUM === '1') throw error;
    return { missing: error.message, launch: () => Promise.reject(error) };
  }
}
