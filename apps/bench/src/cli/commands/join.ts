import { joinResultFiles } from '../../result-file/join.ts';
import { readResultFile, writeResultFile } from '../../result-file/read-write.ts';
import type { ExitCode } from '../program.ts';

/**
 * Joins result files.
 *
 * @throws UsageError where a file cannot be read, or the files are of different adapters
 */
export function joinCommand(paths: readonly string[], out: string): ExitCode {
  writeResultFile(out, joinResultFiles(paths.map((path) => readResultFile(path))));
  console.log(`Wrote ${out}`);
  return 0;
}
