import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { gpuTestOptions } from '@saccade/gpu-runner/vitest';
import { expect, it, onTestFinished } from 'vitest';
import { testProjects } from '../src/projects.ts';

function workspace(files: readonly string[]): string {
  const root = mkdtempSync(join(tmpdir(), 'saccade-projects-'));
  onTestFinished(() => rmSync(root, { recursive: true }));
  for (const file of files) {
    mkdirSync(dirname(join(root, file)), { recursive: true });
    writeFileSync(join(root, file), '{}');
  }
  return root;
}

const root = () =>
  workspace([
    'packages/both/package.json',
    'packages/both/test/shape.test.ts',
    'packages/both/test/deep/kernel.gpu.test.ts',
    'packages/gpu-only/package.json',
    'packages/gpu-only/test/kernel.gpu.test.ts',
    'packages/in-browser/package.json',
    'packages/in-browser/test/page.browser.test.ts',
    'packages/untested/package.json',
    'packages/no-package/test/shape.test.ts',
    'tools/cpu-only/package.json',
    'tools/cpu-only/test/fixture.ts',
    'tools/cpu-only/test/shape.test.ts',
  ]);

it('gives each kind of test of each package a project', () => {
  const names = testProjects(root(), gpuTestOptions).map(({ test }) => test?.name);
  expect(names).toEqual(['both', 'both:gpu', 'gpu-only:gpu', 'in-browser:browser', 'cpu-only']);
});

it('runs CPU tests first and together, then projects that open a GPU one after another, their files in one worker', () => {
  const tests = testProjects(root(), gpuTestOptions).map(({ test }) => test);
  const gpu = tests.filter((test) => /:(gpu|browser)$/.test(String(test?.name)));
  const cpu = tests.filter((test) => !gpu.includes(test));
  expect(cpu.map((test) => test?.sequence?.groupOrder)).toEqual([0, 0]);
  const orders = gpu.map((test) => test?.sequence?.groupOrder as number);
  expect(new Set(orders).size).toBe(orders.length);
  expect(Math.min(...orders)).toBeGreaterThan(0);
  for (const test of gpu) expect(test).toMatchObject({ isolate: false, maxWorkers: 1 });
});

it('splits a package by file name, and resolves workspace packages to their sources', () => {
  const [both, bothGpu] = testProjects(root(), gpuTestOptions);
  expect(both?.test).toMatchObject({ include: ['test/**/*.test.ts'], exclude: ['test/**/*.{gpu,browser}.test.ts'] });
  expect(bothGpu?.test).toMatchObject({ include: ['test/**/*.gpu.test.ts'] });
  for (const project of [both, bothGpu]) expect(project?.resolve?.conditions?.[0]).toBe('@saccade/source');
});
