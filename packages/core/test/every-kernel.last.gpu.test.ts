import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { launchedOnDefaults } from '../src/testing/index.ts';

const sources = fileURLToPath(new URL('../src/', import.meta.url));
const declaration = /= define\w*Kernel(?:<[^(]*>)?\(\{/g;
const named = /= define\w*Kernel(?:<[^(]*>)?\(\{\s*name: '([^']+)'/g;

/** Kernels that stand in for others where subgroups are wide enough, or follow these; their tests run on the adapter itself. */
const subgroupKernels = ['matmul.broadcast', 'matmul.gather_rows', 'matmul.blocks', 'matmul.columns'];

/** The names of all kernels that the package declares, by their sources. */
function declaredKernels(): string[] {
  const files = readdirSync(sources, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.ts'));
  return files.flatMap((file) => {
    const text = readFileSync(join(sources, file), 'utf8');
    const names = [...text.matchAll(named)].map((match) => match[1] as string);
    expect([file, names.length]).toEqual([file, [...text.matchAll(declaration)].length]);
    return names;
  });
}

it('the sources name their kernels where this test finds them', () => {
  const kernels = declaredKernels();
  expect(kernels).toEqual(expect.arrayContaining(['copy', 'softmax', 'topKRow', 'gather', 'rope']));
  expect(kernels).toEqual(expect.arrayContaining(subgroupKernels));
  expect(new Set(kernels).size).toBe(kernels.length);
});

it('every kernel was launched on a device with WebGPU’s default features and limits', (context) => {
  const launched = launchedOnDefaults();
  if (launched.size === 0) context.skip('no other file of this run has launched anything there');
  const missing = declaredKernels().filter((kernel) => !launched.has(kernel));
  expect(missing.filter((kernel) => !subgroupKernels.includes(kernel))).toEqual([]);
});
