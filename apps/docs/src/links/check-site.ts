import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, extname, join, posix } from 'node:path';
import { isExternal } from './check-links.ts';

/**
 * What is wrong with the links of a built site: files and anchors that do not exist. The API reference's own pages are
 * targets only; TypeDoc checks their links.
 *
 * @param folder the built site
 * @param base the path below which it is served, with `/` at both ends
 */
export function deadSiteLinks(folder: string, base: string): string[] {
  const pages = readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .map((path) => path.replaceAll('\\', '/'))
    .filter((path) => path.endsWith('.html') && !path.startsWith('api/'));
  const anchors = new Map<string, Set<string>>();
  const anchorsOf = (path: string) => {
    let found = anchors.get(path);
    if (!found) {
      const text = readFileSync(join(folder, path), 'utf8');
      found = new Set([...text.matchAll(/\sid="([^"]+)"/g)].map(([, id = '']) => id));
      anchors.set(path, found);
    }
    return found;
  };
  return pages.flatMap((page) => {
    const text = readFileSync(join(folder, page), 'utf8');
    const targets = new Set(
      [...text.matchAll(/<(?:a|img|link|script|source)\b[^>]*?\s(?:href|src)="([^"]+)"/g)].map(
        ([, target = '']) => target,
      ),
    );
    return [...targets].flatMap((target) => {
      if (isExternal(target) || target.startsWith('//')) return [];
      const [address = '', anchor = ''] = target.replaceAll('&amp;', '&').split('#');
      const path = fileOf(folder, page, address, base);
      if (path === undefined || !existsSync(join(folder, path))) return [`${page}: ${target} does not exist`];
      if (anchor === '' || extname(path) !== '.html' || anchorsOf(path).has(decodeURIComponent(anchor))) return [];
      return [`${page}: ${target} has no such anchor`];
    });
  });
}

function fileOf(folder: string, page: string, address: string, base: string): string | undefined {
  if (address === '') return page;
  if (address.startsWith('/') && !address.startsWith(base)) return undefined;
  const path = address.startsWith('/') ? address.slice(base.length) : posix.join(dirname(page), address);
  if (path === '' || path.endsWith('/')) return `${path}index.html`;
  return extname(path) || existsSync(join(folder, path)) ? decodeURI(path) : `${path}.html`;
}
