import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** A code block of the guide: commands, or text for a file of the package. */
export interface GuideBlock {
  readonly language: string;
  /** Relative to the package; undefined for commands. */
  readonly file: string | undefined;
  /** What the text replaces: a part of the file that begins so. Undefined: the whole file. */
  readonly part: string | undefined;
  readonly text: string;
}

/** The code blocks of `docs/guides/write-a-method.md`, in order. */
export function guideBlocks(): GuideBlock[] {
  const page = readFileSync(fileURLToPath(new URL('../../../docs/guides/write-a-method.md', import.meta.url)), 'utf8');
  return [...page.matchAll(/^```(\w+)(?: ([^\n#]+)(?:#([^\n]+))?)?\n([\s\S]*?)^```$/gm)].map(
    ([, language = '', file, part, text = '']) => ({ language, file, part, text }),
  );
}

/**
 * The file with one part replaced: the lines below a heading of that name up to the next one, or the statement on the line
 * that begins so.
 *
 * @throws Error where the file has no such part
 */
export function withPart(file: string, part: string, text: string): string {
  const heading = `## ${part}\n`;
  const headingAt = file.indexOf(heading);
  if (headingAt >= 0) {
    const start = headingAt + heading.length;
    const next = file.indexOf('\n## ', start);
    return `${file.slice(0, start)}\n${text}${file.slice(next)}`;
  }
  const lines = file.split('\n');
  const at = lines.findIndex((line) => line.trimStart().startsWith(part));
  if (at < 0) throw new Error(`the file has no part that begins with ${part}`);
  lines.splice(at, 1, text.replace(/\n$/, ''));
  return lines.join('\n');
}
