import { dirname, resolve } from 'node:path';
import { InvalidArgumentError } from 'commander';

/** Reads an integer of at least `min`. */
export function integerArgument(min: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!/^\d+$/.test(text) || !Number.isSafeInteger(value) || value < min) {
      throw new InvalidArgumentError(`Allowed: an integer >= ${min}.`);
    }
    return value;
  };
}

/** Reads context lengths: `1024,4096`. */
export function lengthsArgument(text: string): number[] {
  return text.split(',').map((part) => {
    const value = Number(part);
    if (!/^\s*\d+\s*$/.test(part) || !Number.isSafeInteger(value) || value < 1) {
      throw new InvalidArgumentError('Allowed: integers >= 1 separated by commas, such as 1024,4096.');
    }
    return value;
  });
}

/** Reads shares of the context: `0.05,0.1`. */
export function budgetsArgument(text: string): number[] {
  return text.split(',').map((part) => {
    const value = Number(part);
    if (part.trim() === '' || !(value > 0 && value <= 1)) {
      throw new InvalidArgumentError('Allowed: shares of the context over 0 and up to 1, such as 0.05,0.1.');
    }
    return value;
  });
}

/** Collects a repeatable option. */
export function collect(text: string, earlier: readonly string[]): string[] {
  return [...earlier, text];
}

/**
 * A path as the caller means it. `npm run` and `pnpm run` start scripts in the package's folder and tell the caller's in
 * INIT_CWD; where they did not start this process (a tool that they started may have), INIT_CWD is not our caller's.
 */
export function callerPath(path: string): string {
  const { INIT_CWD: callerFolder, npm_package_json: manifest } = process.env;
  const startedByNpm = callerFolder !== undefined && manifest !== undefined && dirname(manifest) === process.cwd();
  return resolve(startedByNpm ? callerFolder : process.cwd(), path);
}
