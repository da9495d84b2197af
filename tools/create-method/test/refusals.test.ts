import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { createMethod } from '../src/create-method.ts';
import { CreateMethodError } from '../src/create-method-error.ts';
import { methodNames, renamed } from '../src/method-names.ts';
import { TemporaryWorkspace } from './temporary-workspace.ts';

const workspace = new TemporaryWorkspace();
afterAll(() => workspace.dispose());

function refusal(slug: string): [string, string] {
  try {
    createMethod(workspace.root, slug);
  } catch (error) {
    if (error instanceof CreateMethodError) return [error.code, error.message];
    throw error;
  }
  throw new Error(`${slug} was accepted`);
}

it('refuses what is no slug, and names that are taken', () => {
  for (const slug of [
    '',
    'Key',
    'key_sketch',
    '-key',
    'key-',
    'key--sketch',
    '2key',
    '../key',
    'a'.repeat(41),
    'core',
    'dense',
  ]) {
    expect([slug, refusal(slug)[0]]).toEqual([slug, 'bad-slug']);
  }
  mkdirSync(join(workspace.root, 'packages', 'there'));
  expect(refusal('there')).toEqual(['taken', expect.stringContaining('packages/there exists already')]);
  expect(refusal('sinks-recent')[0]).toBe('taken');
});

it('writes nothing where a list has no place for the method', () => {
  const list = join(workspace.root, 'apps', 'bench', 'src', 'methods.ts');
  const before = readFileSync(list, 'utf8');
  writeFileSync(list, 'export const methods = everyMethod();\n');
  expect(refusal('late')).toEqual(['unknown-layout', expect.stringContaining('apps/bench/src/methods.ts')]);
  expect(readdirSync(join(workspace.root, 'packages'))).not.toContain('late');
  expect(readdirSync(workspace.root).filter((name) => name.startsWith('.creating'))).toEqual([]);
  writeFileSync(list, before);
});

it('adds a method to every list once, whatever else is in it', () => {
  createMethod(workspace.root, 'first-one');
  createMethod(workspace.root, 'another');
  const text = (path: string) => readFileSync(join(workspace.root, path), 'utf8');
  const bench = JSON.parse(text('apps/bench/package.json')) as { dependencies: Record<string, string> };
  const docs = JSON.parse(text('apps/docs/package.json')) as { devDependencies: Record<string, string> };
  for (const slug of ['first-one', 'another']) {
    expect(bench.dependencies[`@saccade/${slug}`]).toBe('workspace:*');
    expect(docs.devDependencies[`@saccade/${slug}`]).toBe('workspace:*');
  }
  expect(Object.keys(bench.dependencies)).toContain('tsx');
  const methods = text('apps/bench/src/methods.ts');
  expect(methods).toMatch(/= \[\w+(, \w+)*, firstOneEntry, anotherEntry\];/);
  expect(methods).toContain("import { anotherEntry } from '@saccade/another/bench';");
});

it('spells the name as each place wants it', () => {
  const names = methodNames('key-2-sketch');
  expect(names).toEqual({ slug: 'key-2-sketch', camel: 'key2Sketch', pascal: 'Key2Sketch', title: 'Key 2 sketch' });
  expect(renamed('New method newMethod NewMethodState @saccade/new-method', names)).toBe(
    'Key 2 sketch key2Sketch Key2SketchState @saccade/key-2-sketch',
  );
});
