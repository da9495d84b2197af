import { existsSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { filesEnding, workspace } from '../workspace.ts';
import { headingAnchors, linkTargets } from './markdown.ts';

/** Whether a link leads out of the repository; such links are not followed. */
export function isExternal(target: string): boolean {
  return /^[a-z][a-z+.-]*:/i.test(target);
}

/** A link's target as a path relative to the workspace, and the heading behind `#`. */
export function resolveLink(page: string, target: string): { readonly path: string; readonly anchor: string } {
  const [file = '', anchor = ''] = target.split('#');
  const path = file === '' ? page : normalize(join(dirname(page), decodeURI(file)));
  return { path: path.replace(/\/$/, '').replace(/^\.$/, ''), anchor };
}

/** What is wrong with the links of the repository's Markdown files: files and headings that do not exist. */
export function deadLinks(): string[] {
  return filesEnding('.md').flatMap((page) => deadLinksOf(page, readFileSync(join(workspace, page), 'utf8')));
}

/** What is wrong with the links of one page. */
export function deadLinksOf(page: string, text: string): string[] {
  return linkTargets(text).flatMap((target) => {
    if (isExternal(target)) return [];
    const { path, anchor } = resolveLink(page, target);
    const file = join(workspace, path);
    if (path.startsWith('..') || !existsSync(file)) return [`${page}: ${target} does not exist`];
    if (anchor === '') return [];
    const document = statSync(file).isDirectory() ? join(file, 'README.md') : file;
    if (existsSync(document) && headingAnchors(readFileSync(document, 'utf8')).has(anchor)) return [];
    return [`${page}: ${target} has no such heading`];
  });
}
