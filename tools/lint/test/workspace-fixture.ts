import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

/** Writes files (path to content) into a new temporary folder and returns it. */
export function workspaceWith(files: Readonly<Record<string, string>>): string {
  const root = mkdtempSync(join(tmpdir(), 'saccade-lint-'));
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), content);
  }
  return root;
}

/** A package.json with a name and nothing that a check complains about in other packages. */
export function manifest(name: string, more: object = {}): string {
  return JSON.stringify({ name: `@saccade/${name}`, type: 'module', ...more });
}
