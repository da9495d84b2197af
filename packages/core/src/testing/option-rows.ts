/** Rows of a table of options in Markdown, spaces evened out: for comparing a README's with the schema's. */
export function optionRows(markdown: string): string[] {
  return markdown
    .split('\n')
    .filter((line) => line.startsWith('| `'))
    .map((line) => line.replaceAll(/\s+/g, ' '));
}
