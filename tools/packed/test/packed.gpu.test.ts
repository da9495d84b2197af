import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { checkPackage, createPackageFromTarballData } from '@arethetypeswrong/core';
import { publint } from 'publint';
import { formatMessage } from 'publint/utils';
import { beforeAll, describe, expect, it } from 'vitest';
import { nodeProgram } from '../src/node-program.ts';
import { publishedPackages, workspace } from '../src/pack.ts';
import { mustRun, run } from '../src/run.ts';
import { installedPackages, type Packed } from './packed.ts';

/* The very files that a release uploads, as a user meets them. They are built before the tests run (`npm test`, `pnpm build`). */
let packed: Packed;
beforeAll(async () => {
  packed = await installedPackages();
}, 300_000);

const names = publishedPackages().map(({ manifest }) => manifest.name);

it('every published package is packed', () => {
  expect([...packed.files.keys()]).toEqual(names);
});

it.each(names)('%s: publint finds nothing', async (name) => {
  const tarball = new Uint8Array(readFileSync(packed.files.get(name) as string)).buffer;
  const { messages, pkg } = await publint({ pack: { tarball }, level: 'warning', strict: true });
  expect(messages.map((message) => formatMessage(message, pkg) ?? message.code)).toEqual([]);
});

it.each(names)('%s: its types resolve as its code does', async (name) => {
  const contents = new Uint8Array(readFileSync(packed.files.get(name) as string));
  const result = await checkPackage(createPackageFromTarballData(contents));
  if (!result.types) throw new Error('no types');
  // ESM only: `require` of it is Node's matter, and the resolution of Node 10 knows no `exports`.
  const unasked = new Set(['CJSResolvesToESM', 'NoResolution']);
  const problems = result.problems.filter(
    (problem) =>
      !(
        unasked.has(problem.kind) &&
        'resolutionKind' in problem &&
        ['node10', 'node16-cjs'].includes(problem.resolutionKind)
      ),
  );
  expect(problems).toEqual([]);
});

describe.each(['bundler', 'node16'])('moduleResolution %s', (resolution) => {
  it('accepts the documented use, and refuses an unknown option', async () => {
    const tsc = join(workspace, 'node_modules', '.bin', 'tsc');
    const { code, output } = await run(tsc, ['-p', `tsconfig.${resolution}.json`], packed.consumer);
    expect(output.trim()).toBe('');
    expect(code).toBe(0);
  });
});

it('runs the shipped model dense and with a method in Node 20, 22 and 24, alike', async () => {
  const texts: string[][] = [];
  for (const major of [20, 22, 24]) {
    const runner = join('node_modules', '@saccade', 'gpu-runner', 'bin', 'saccade-gpu.mjs');
    const printed = await mustRun(await nodeProgram(major), [runner, 'run', 'use.mjs'], packed.consumer);
    const { node, texts: generated } = JSON.parse(printed.trim().split('\n').at(-1) ?? '') as {
      node: string;
      texts: string[];
    };
    expect(node).toBe(String(major));
    texts.push(generated);
  }
  const [[dense, few, all] = []] = texts;
  expect(dense).toMatch(/[a-z ]{8}/);
  expect(all).toBe(dense);
  expect(few).toHaveLength(dense?.length ?? 0);
  expect(texts[1]).toEqual(texts[0]);
  expect(texts[2]).toEqual(texts[0]);
}, 300_000);
