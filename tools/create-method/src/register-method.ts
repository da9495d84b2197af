import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { CreateMethodError } from './create-method-error.ts';
import type { MethodNames } from './method-names.ts';

/** A file of the workspace and its new text. */
export interface FileChange {
  readonly path: string;
  readonly text: string;
}

/**
 * The changes that make the workspace know a method: the bench's list of methods and dependencies, and the documentation
 * site. Nothing is written here.
 *
 * @throws CreateMethodError `unknown-layout` where one of the files has no place for the method
 */
export function registerMethod(root: string, names: MethodNames): FileChange[] {
  const packageName = `@saccade/${names.slug}`;
  return [
    change(root, 'apps/bench/src/methods.ts', (text) => withMethod(text, packageName, `${names.camel}Entry`)),
    change(root, 'apps/bench/package.json', (text) => withDependency(text, 'dependencies', packageName)),
    change(root, 'apps/docs/package.json', (text) => withDependency(text, 'devDependencies', packageName)),
  ];
}

function change(root: string, path: string, edit: (text: string) => string | undefined): FileChange {
  const before = readFileSync(join(root, path), 'utf8');
  const text = edit(before);
  if (text !== undefined && text !== before) return { path, text };
  throw new CreateMethodError('unknown-layout', `${path} has no place for another method; add it there by hand.`);
}

/** Adds an import in front of the others and a line to the list. */
function withMethod(text: string, packageName: string, entry: string): string | undefined {
  const list = /(= \[)([^\]]*)(\];)/;
  if (!list.test(text)) return undefined;
  const listed = text.replace(list, (_, open: string, entries: string, close: string) => {
    const names = entries
      .split(',')
      .map((name) => name.trim())
      .filter(Boolean);
    return `${open}${[...names, entry].join(', ')}${close}`;
  });
  return `import { ${entry} } from '${packageName}/bench';\n${listed}`;
}

/** Adds a workspace dependency, in the order of names; the rest of the file stays as it is. */
function withDependency(
  text: string,
  field: 'dependencies' | 'devDependencies',
  packageName: string,
): string | undefined {
  const block = new RegExp(`("${field}": \\{\\n)([^}]*?)(\\n  \\})`);
  if (!block.test(text)) return undefined;
  return text.replace(block, (_, open: string, lines: string, close: string) => {
    const entries = lines.split('\n').map((line) => line.trim().replace(/,$/, ''));
    const sorted = [...entries, `"${packageName}": "workspace:*"`].sort();
    return `${open}${sorted.map((entry) => `    ${entry}`).join(',\n')}${close}`;
  });
}
