import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Finding, WorkspacePackage } from './workspace-package.ts';

const release = /^(['"])(?<name>[^'"]+)\1: (?:major|minor|patch)$/;

/** Every changeset begins with the packages that it releases: one that does not, stops the release. */
export function checkChangesets(root: string, packages: readonly Pick<WorkspacePackage, 'manifest'>[]): Finding[] {
  const folder = join(root, '.changeset');
  if (!existsSync(folder)) return [];
  const names = new Set(packages.flatMap(({ manifest }) => (manifest.private ? [] : [manifest.name])));
  return readdirSync(folder)
    .filter((file) => file.endsWith('.md') && file !== 'README.md')
    .flatMap((file) => {
      const place = `.changeset/${file}`;
      const [, head, text] = /^---\n\s*(.*?)\n---\n(.*)$/s.exec(readFileSync(join(folder, file), 'utf8')) ?? [];
      if (head === undefined) return [{ place, message: 'does not begin with packages between two lines of ---' }];
      const wrong = head.split('\n').filter((line) => !names.has(release.exec(line)?.groups?.name ?? ''));
      return [
        ...wrong.map((line) => ({
          place,
          message: `${line} is not a published package with major, minor or patch`,
        })),
        ...(text?.trim() ? [] : [{ place, message: 'says nothing' }]),
      ];
    });
}
