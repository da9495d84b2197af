import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, sep } from 'node:path';
import { moduleImports } from './module-imports.ts';
import type { Finding, WorkspacePackage } from './workspace-package.ts';

const skippedFolders = ['node_modules', 'dist', 'fixtures', 'template', '.turbo'];

/**
 * Dependencies point one way: methods -> core <- models; apps -> everything. Checks every import of every package, and the
 * packages that its users get along with it.
 */
export function checkDependencyDirection(packages: readonly WorkspacePackage[]): Finding[] {
  return packages.flatMap((owner) => [
    ...sourceFiles(owner.folder).flatMap((file) => checkFile(owner, file, packages)),
    ...checkManifest(owner, packages),
  ]);
}

function checkFile(owner: WorkspacePackage, file: string, packages: readonly WorkspacePackage[]): Finding[] {
  const inside = relative(owner.folder, file).split(sep).join('/');
  const zone = inside.split('/')[0] ?? '';
  return moduleImports(readFileSync(file, 'utf8')).flatMap(({ specifier, line, typeOnly }) => {
    const place = `${owner.path}/${inside}:${line}`;
    if (specifier.startsWith('.')) {
      const target = relative(owner.folder, join(dirname(file), specifier));
      const leaves = target === '..' || target.startsWith(`..${sep}`);
      return leaves
        ? [{ place, message: `'${specifier}' leaves the package; import the other package by its name` }]
        : [];
    }
    const imported = packageOf(specifier, packages);
    if (!imported || imported === owner) return [];
    if (owner.role === 'method' && zone === 'bench' && !typeOnly) {
      return [{ place, message: `bench/ imports types only from other packages; the harness hands in '${specifier}'` }];
    }
    return mayImport(owner, imported, zone) ? [] : [{ place, message: refusal(owner, imported) }];
  });
}

/** Dependencies and peers reach the users of a package, so they obey the rule for its sources. */
function checkManifest(owner: WorkspacePackage, packages: readonly WorkspacePackage[]): Finding[] {
  const names = Object.keys({ ...owner.manifest.dependencies, ...owner.manifest.peerDependencies });
  return names.flatMap((name) => {
    const imported = packageOf(name, packages);
    if (!imported || mayImport(owner, imported, 'src')) return [];
    return [{ place: `${owner.path}/package.json`, message: refusal(owner, imported) }];
  });
}

function mayImport(owner: WorkspacePackage, imported: WorkspacePackage, zone: string): boolean {
  // Private tools never reach a user: any test may use them.
  if (zone === 'test' && imported.role === 'tool' && imported.manifest.private) return true;
  switch (owner.role) {
    case 'core':
      return false;
    case 'models':
      return imported.role === 'core';
    case 'tiny-models':
      return imported.role === 'core' || imported.role === 'models';
    case 'method':
      return (
        imported.role === 'core' ||
        ((zone === 'test' || zone === 'bench') && imported.role !== 'app' && imported.role !== 'tool')
      );
    case 'app':
      return true;
    case 'tool':
      return imported.role === 'tool';
  }
}

function refusal(owner: WorkspacePackage, imported: WorkspacePackage): string {
  const allowed: Record<WorkspacePackage['role'], string> = {
    core: 'the core imports no other package',
    models: 'models import the core only',
    'tiny-models': 'the checkpoints import the core and the models only',
    method: 'a method imports the core only, outside test/ and bench/',
    app: 'apps import everything',
    tool: 'tools import tools only',
  };
  return `${owner.manifest.name} must not depend on ${imported.manifest.name}: ${allowed[owner.role]}`;
}

function packageOf(specifier: string, packages: readonly WorkspacePackage[]): WorkspacePackage | undefined {
  return packages.find(({ manifest }) => specifier === manifest.name || specifier.startsWith(`${manifest.name}/`));
}

function sourceFiles(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return skippedFolders.includes(entry.name) ? [] : sourceFiles(path);
    return /\.m?[jt]s$/.test(entry.name) ? [path] : [];
  });
}
