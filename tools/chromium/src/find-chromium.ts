import { existsSync } from 'node:fs';
import { type Attempt, ChromiumMissingError } from './errors.ts';
import { installedBrowsers } from './installed.ts';
import { lacksWebGpu } from './lacks-webgpu.ts';
import { npmChromium, npmChromiumSpecifier } from './npm-chromium.ts';

/** Where a browser comes from. */
export type ChromiumSource = 'CHROME_PATH' | 'installed' | 'npm';

/** A Chromium that was seen to give WebGPU. */
export interface ChromiumProgram {
  readonly path: string;
  readonly source: ChromiumSource;
  /** Environment variables that the program needs beside those of this process. */
  readonly variables: Readonly<Record<string, string>>;
}

/**
 * The browser of the tests: `CHROME_PATH` if it is set and nothing else then; else the first installed one, else npm's,
 * that starts and gives WebGPU. `SACCADE_CHROMIUM=npm` passes over the installed ones.
 *
 * @throws ChromiumMissingError with what became of every place
 */
export async function findChromium(environment: NodeJS.ProcessEnv = process.env): Promise<ChromiumProgram> {
  const attempts: Attempt[] = [];
  const works = async (program: ChromiumProgram, place: string) => {
    const outcome = await lacksWebGpu(program);
    if (outcome) attempts.push({ place, outcome });
    return outcome === undefined;
  };
  const { CHROME_PATH: asked } = environment;
  if (asked) {
    const program: ChromiumProgram = { path: asked, source: 'CHROME_PATH', variables: {} };
    const place = `CHROME_PATH=${asked}`;
    if (!existsSync(asked)) attempts.push({ place, outcome: 'there is no such file' });
    else if (await works(program, place)) return program;
    throw new ChromiumMissingError(attempts);
  }
  for (const path of environment.SACCADE_CHROMIUM === 'npm' ? [] : installedBrowsers(environment)) {
    const program: ChromiumProgram = { path, source: 'installed', variables: {} };
    if (await works(program, path)) return program;
  }
  if (attempts.length === 0) attempts.push({ place: 'installed browsers', outcome: 'none' });
  try {
    const program = await npmChromium();
    if (await works(program, npmChromiumSpecifier)) return program;
  } catch (error) {
    attempts.push({ place: npmChromiumSpecifier, outcome: firstLine(error) });
  }
  throw new ChromiumMissingError(attempts);
}

function firstLine(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).trim().split('\n')[0] ?? '';
}
