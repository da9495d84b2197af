import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type WorkspacePackage, workspacePackages } from '@saccade/lint/workspace-package';
import { mustRun } from './run.ts';

/** The workspace's folder. */
export const workspace = fileURLToPath(new URL('../../../', import.meta.url));

/** The packages that are uploaded. */
export function publishedPackages(): WorkspacePackage[] {
  return workspacePackages(workspace).filter(({ manifest }) => manifest.private !== true);
}

/** Packs every published package, built, into a folder; file by package name. What a release uploads is these very files. */
export async function packAll(into: string): Promise<Map<string, string>> {
  const pnpm = join(workspace, 'node_modules', '.bin', 'pnpm');
  const files = new Map<string, string>();
  for (const { folder, manifest } of publishedPackages()) {
    const printed = await mustRun(pnpm, ['pack', '--json', '--pack-destination', into], folder);
    const { filename } = JSON.parse(printed.slice(printed.indexOf('{'))) as { filename: string };
    files.set(manifest.name, filename);
  }
  return files;
}
