import type { Registry } from '../../registry.ts';
import { htmlReport } from '../../report/html.ts';
import { markdownReport } from '../../report/markdown.ts';
import { readResultFile, writeTextFile } from '../../result-file/read-write.ts';
import { UsageError } from '../../usage-error.ts';
import type { ExitCode } from '../program.ts';

/**
 * Writes a report of a result file.
 *
 * @throws UsageError if no output is asked for, or the file cannot be used.
 */
export function reportCommand(
  registry: Registry,
  path: string,
  outputs: { readonly html?: string; readonly markdown?: string },
): ExitCode {
  if (outputs.html === undefined && outputs.markdown === undefined) {
    throw new UsageError('Say where the report goes: --html OUT, --markdown OUT or both.');
  }
  const file = readResultFile(path);
  if (outputs.html !== undefined) {
    writeTextFile(outputs.html, htmlReport(file, registry));
    console.log(`Wrote ${outputs.html}`);
  }
  if (outputs.markdown !== undefined) {
    writeTextFile(outputs.markdown, markdownReport(file, registry));
    console.log(`Wrote ${outputs.markdown}`);
  }
  return 0;
}
