import { fileURLToPath } from 'node:url';
import type { PublicError } from './public-errors.ts';

/** The page that holds the table. */
export const errorPage = fileURLToPath(new URL('../../../../docs/architecture/errors.md', import.meta.url));

const begin = '<!-- The table is generated: npx pnpm run docs:errors -->';
const end = '<!-- End of the generated table. -->';

/** The errors as a Markdown table, its columns aligned as the formatter aligns them. */
export function errorTable(errors: readonly PublicError[]): string {
  const rows = [
    ['Error', 'Package', 'Code', 'What happened, and what to do'],
    ...errors.map(({ name, packageName, codes, description }) => [
      `\`${name}\``,
      packageName.replace('@saccade/', ''),
      codes.map((code) => `\`${code}\``).join(' '),
      description.replaceAll('|', '\\|'),
    ]),
  ];
  const widths = (rows[0] as string[]).map((_, column) =>
    Math.max(...rows.map((row) => (row[column] as string).length)),
  );
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell, column) => cell.padEnd(widths[column] as number)).join(' | ')} |`;
  const [head, ...body] = rows as [string[], ...string[][]];
  return [line(head), line(widths.map((width) => '-'.repeat(width))), ...body.map(line)].join('\n');
}

/** The page with its table replaced. @throws Error where the page has no place for it */
export function withErrorTable(page: string, table: string): string {
  const [start, stop] = [page.indexOf(begin), page.indexOf(end)];
  if (start < 0 || stop < start) throw new Error(`errors.md lacks the lines ${begin} and ${end}`);
  return `${page.slice(0, start)}${begin}\n\n${table}\n\n${page.slice(stop)}`;
}
