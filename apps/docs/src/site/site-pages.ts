import { existsSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { filesEnding, workspace } from '../workspace.ts';

/** A Markdown file of the repository that is a page of the site. */
export interface SitePage {
  /** Relative to the workspace. */
  readonly source: string;
  /** Relative to the site. */
  readonly target: string;
  readonly title: string;
}

/** Packages that are no methods, in the order of the site. */
const packageFolders = ['packages/core', 'packages/models', 'packages/tiny-models', 'tools/gpu-runner', 'apps/bench'];

/** Folders of the method packages, relative to the workspace. */
export function methodFolders(): string[] {
  return filesEnding('package.json', 'packages')
    .filter((path) => /^packages\/[^/]+\/package\.json$/.test(path))
    .map((path) => path.slice(0, -'/package.json'.length))
    .filter((folder) => !packageFolders.includes(folder));
}

/** Every page that is a file of the repository. */
export function sitePages(): SitePage[] {
  const readme = (folder: string, section: string): [string, string] => [
    `${folder}/README.md`,
    `${section}/${basename(folder)}.md`,
  ];
  const places: [string, string][] = [
    ...filesEnding('.md', 'docs').map((path): [string, string] => [
      path,
      path.slice('docs/'.length).replace(/README\.md$/, 'index.md'),
    ]),
    ...packageFolders.map((folder) => readme(folder, 'packages')),
    ...methodFolders().map((folder) => readme(folder, 'methods')),
    ['CONTRIBUTING.md', 'contributing.md'],
    ['SECURITY.md', 'security.md'],
  ];
  return places
    .filter(([source]) => existsSync(join(workspace, source)))
    .map(([source, target]) => ({ source, target, title: pageTitle(readFileSync(join(workspace, source), 'utf8')) }));
}

/** The first heading of a page. */
export function pageTitle(text: string): string {
  return /^# +(.+)$/m.exec(text)?.[1]?.replace(/[`*]/g, '') ?? '';
}
