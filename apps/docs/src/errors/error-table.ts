import { fileURLToPath } from 'node:url';
import type { PublicError } from './public-errors.ts';

/** The page that holds the table. */
export const errorPage = fileURLToPath(new URL('../../../../docs/architecture/errors.md', import.meta.url));

const begin = '<!-- The table is generated: npx pnpm run docs:errors -->';
const end = '<!-- End of the generated table. -->';

/** The errors as a Markdown table, and one of codes for each class that explains its own. */
export function errorTable(errors: readonly PublicError[]): string {
  const all = table([
    ['Error', 'Package', 'Code', 'What happened, and what to do'],
    ...errors.map(({ name, packageName, codes, description }) => [
      `\`${name}\``,
      packageName.replace('@saccade/', ''),
      codeList(codes),
      description,
    ]),
  ]);
  const explained = errors.filter(({ meanings }) => meanings.length > 0);
  const ofCodes = explained.map(
    ({ name, meanings }) =>
      `### Codes of \`${name}\`\n\n${table([
        ['Code', 'Meaning'],
        ...meanings.map(({ codes, meaning }) => [codeList(codes), meaning]),
      ])}`,
  );
  return [all, ...ofCodes].join('\n\n');
}

function codeList(codes: readonly string[]): string {
  return codes.map((code) => `\`${code}\``).join(' ');
}

/** Rows of cells, the first of them the head; columns are aligned as the formatter aligns them. */
function table(rows: readonly (readonly string[])[]): string {
  const cells = rows.map((row) => row.map((cell) => cell.replaceAll('|', '\\|')));
  const [head = [], ...body] = cells;
  const widths = head.map((_, column) => Math.max(...cells.map((row) => (row[column] as string).length)));
  const line = (row: readonly string[]) =>
    `| ${row.map((cell, column) => cell.padEnd(widths[column] as number)).join(' | ')} |`;
  return [line(head), line(widths.map((width) => '-'.repeat(width))), ...body.map(line)].join('\n');
}

/** The page with its table replaced. @throws Error where the page has no place for it */
export function withErrorTable(page: string, table: string): string {
  const [start, stop] = [page.indexOf(begin), page.indexOf(end)];
  if (start < 0 || stop < start) throw new Error(`errors.md lacks the lines ${begin} and ${end}`);
  return `${page.slice(0, start)}${begin}\n\n${table}\n\n${page.slice(stop)}`;
}
