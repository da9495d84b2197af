import { appendFileSync, mkdirSync } from 'node:fs';
import { dirname } from 'node:path';

/**
 * Appends lines to a file, as `log` of `train` takes it. A resumed run repeats the steps since its checkpoint: of two lines of one step
 * the later one counts.
 */
export function jsonLinesFile(path: string): (line: string) => void {
  mkdirSync(dirname(path), { recursive: true });
  return (line) => appendFileSync(path, `${line}\n`);
}
