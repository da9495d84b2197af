import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** A package's part in the workspace, which decides what it may import. */
export type PackageRole = 'core' | 'models' | 'tiny-models' | 'method' | 'app' | 'tool';

/** The fields of a package.json that the checks read. */
export interface PackageManifest {
  readonly name: string;
  readonly private?: boolean;
  readonly type?: string;
  readonly sideEffects?: unknown;
  readonly license?: string;
  readonly files?: readonly string[];
  readonly exports?: Readonly<Record<string, unknown>>;
  readonly publishConfig?: { readonly exports?: Readonly<Record<string, unknown>> };
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly peerDependencies?: Readonly<Record<string, string>>;
  /** Of a method: how many numbered checks its specification has. */
  readonly saccade?: { readonly checks?: unknown };
}

/** A package of the workspace. */
export interface WorkspacePackage {
  readonly folder: string;
  /** Relative to the workspace, with `/`. */
  readonly path: string;
  readonly role: PackageRole;
  readonly manifest: PackageManifest;
}

/** Something that a check found. */
export interface Finding {
  /** Relative to the workspace; a line number may follow. */
  readonly place: string;
  readonly message: string;
}

/** The packages under `packages`, `apps` and `tools`. */
export function workspacePackages(root: string): WorkspacePackage[] {
  return ['packages', 'apps', 'tools'].flatMap((group) => {
    const parent = join(root, group);
    const names = existsSync(parent) ? readdirSync(parent).sort() : [];
    return names.flatMap((name) => {
      const folder = join(parent, name);
      const file = join(folder, 'package.json');
      if (!existsSync(file)) return [];
      const manifest = JSON.parse(readFileSync(file, 'utf8')) as PackageManifest;
      return [{ folder, path: `${group}/${name}`, role: packageRole(group, name), manifest }];
    });
  });
}

function packageRole(group: string, name: string): PackageRole {
  if (group === 'apps') return 'app';
  if (group === 'tools') return 'tool';
  return name === 'core' || name === 'models' || name === 'tiny-models' ? name : 'method';
}
