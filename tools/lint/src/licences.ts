import type { Finding, WorkspacePackage } from './workspace-package.ts';

/** Every package names the licence of the whole. */
export function checkLicences(packages: readonly Pick<WorkspacePackage, 'path' | 'manifest'>[]): Finding[] {
  return packages.flatMap(({ path, manifest }) =>
    manifest.license === 'MIT' ? [] : [{ place: `${path}/package.json`, message: '"license" must be "MIT"' }],
  );
}
