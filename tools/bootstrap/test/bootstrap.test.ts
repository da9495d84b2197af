import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { nodeRefusal } from '../node-version.mjs';
import { isSetUp, markSetUp } from '../stamp.mjs';
import { testArguments } from '../test-arguments.mjs';

it('takes the releases of Node that the packages name, and refuses others', () => {
  for (const version of ['20.19.0', '20.20.2', '22.12.0', '24.0.0', '26.1.0'])
    expect(nodeRefusal(version)).toBeUndefined();
  for (const version of ['18.20.0', '20.18.3', '21.7.0', '22.11.0', '23.5.0'])
    expect(nodeRefusal(version)).toContain(version);
});

it('counts as set up until the lockfile changes', () => {
  const root = mkdtempSync(join(tmpdir(), 'saccade-'));
  mkdirSync(join(root, 'node_modules'));
  for (const file of ['pnpm-lock.yaml', 'pnpm-workspace.yaml', 'package.json']) writeFileSync(join(root, file), file);
  expect(isSetUp(root)).toBe(false);
  markSetUp(root);
  expect(isSetUp(root)).toBe(true);
  writeFileSync(join(root, 'pnpm-lock.yaml'), 'another');
  expect(isSetUp(root)).toBe(false);
});

it('takes the name of a package for all of its projects', () => {
  expect(testArguments(['--project', 'tidaldecode', '-t', 'sinks'])).toEqual([
    '--project=tidaldecode',
    '--project=tidaldecode:gpu',
    '--project=tidaldecode:browser',
    '-t',
    'sinks',
  ]);
  expect(testArguments(['--project=core:gpu'])).toEqual(['--project=core:gpu']);
  expect(testArguments(['--project', '!core*'])).toEqual(['--project=!core*']);
});
