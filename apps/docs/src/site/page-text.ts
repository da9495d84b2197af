import { existsSync, statSync } from 'node:fs';
import { dirname, extname, join, posix } from 'node:path';
import { isExternal, resolveLink } from '../links/check-links.ts';
import { escapeForComponents, mapLinks } from '../links/markdown.ts';
import { workspace } from '../workspace.ts';
import type { SitePage } from './site-pages.ts';

/** A page of the site, and the pictures that it shows: path in the workspace by path in the site. */
export interface PageText {
  readonly text: string;
  readonly pictures: ReadonlyMap<string, string>;
}

const pictureEndings = new Set(['.png', '.jpg', '.svg', '.webp', '.gif']);

/**
 * A file of the repository as a page: links to other pages lead to them, pictures come along, and links to files that are
 * no pages become plain text.
 */
export function pageText(
  text: string,
  page: Pick<SitePage, 'source' | 'target'>,
  pages: readonly SitePage[],
): PageText {
  const targets = new Map(pages.map(({ source, target }) => [source, target]));
  const pictures = new Map<string, string>();
  const linked = mapLinks(withoutFileNames(text), ({ picture, text: label, target }) => {
    if (isExternal(target)) return picture ? `![${label}](${target})` : `[${label}](${target})`;
    const { path, anchor } = resolveLink(page.source, target);
    if (pictureEndings.has(extname(path))) {
      const place = `pictures/${path}`;
      pictures.set(place, path);
      return `![${label}](${relative(page.target, place)})`;
    }
    if (path === 'README.md') return `[${label}](/)`;
    const file = join(workspace, path);
    const document = existsSync(file) && statSync(file).isDirectory() ? `${path}/README.md` : path;
    const other = document === page.source ? page.target : targets.get(document);
    if (other === undefined) return label;
    const address = `/${other.replace(/(?:index)?\.md$/, '')}`;
    return `[${label}](${address}${anchor ? `#${anchor}` : ''})`;
  });
  return { text: escapeForComponents(linked), pictures };
}

/** Code blocks may name the file that they belong to; the site shows it above the block. */
function withoutFileNames(text: string): string {
  return text.replace(/^```(\w+) ([\w./-]+)(?:#.*)?$/gm, '```$1 [$2]');
}

function relative(from: string, to: string): string {
  const path = posix.relative(dirname(from), to);
  return path.startsWith('.') ? path : `./${path}`;
}
