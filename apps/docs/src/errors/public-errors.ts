import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type ErrorClass, readErrors } from './read-errors.ts';

const root = fileURLToPath(new URL('../../../../', import.meta.url));

/** The published packages that throw errors of their own. */
export const packagesWithErrors = [
  { name: '@saccade/core', sources: 'packages/core/src' },
  { name: '@saccade/models', sources: 'packages/models/src' },
  { name: '@saccade/gpu-runner', sources: 'tools/gpu-runner/src' },
] as const;

/** An error class and the package that exports it. */
export interface PublicError extends ErrorClass {
  readonly packageName: string;
}

const bases: readonly string[] = ['SaccadeError', 'GpuRunnerError'];

/** Every error that a published package throws on purpose, in the order of packages and names; base classes are left out. */
export function publicErrors(): PublicError[] {
  return packagesWithErrors.flatMap(({ name, sources }) => {
    const files = readdirSync(join(root, sources), { recursive: true, encoding: 'utf8' }).filter((file) =>
      file.endsWith('.ts'),
    );
    const classes = files.flatMap((file) => readErrors(readFileSync(join(root, sources, file), 'utf8'), file));
    const known = new Set(bases);
    const typed: ErrorClass[] = [];
    // A class may extend one of another file.
    for (let before = -1; before !== typed.length; ) {
      before = typed.length;
      for (const found of classes) {
        if (known.has(found.name) || !known.has(found.parent)) continue;
        known.add(found.name);
        typed.push(found);
      }
    }
    return typed.sort((a, b) => (a.name < b.name ? -1 : 1)).map((found) => ({ ...found, packageName: name }));
  });
}
