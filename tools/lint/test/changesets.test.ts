import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, it } from 'vitest';
import { checkChangesets } from '../src/changesets.ts';

const folders: string[] = [];

function messages(text: string): string[] {
  const root = mkdtempSync(join(tmpdir(), 'changesets-'));
  folders.push(root);
  mkdirSync(join(root, '.changeset'));
  writeFileSync(join(root, '.changeset', 'one.md'), text);
  return checkChangesets(root, [
    { manifest: { name: '@saccade/core' } },
    { manifest: { name: '@saccade/bench', private: true } },
  ]).map(({ message }) => message);
}

afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true });
});

it('accepts packages of the workspace and a text', () => {
  expect(messages('---\n"@saccade/core": minor\n---\n\nText.\n')).toEqual([]);
});

it('finds what would stop a release', () => {
  expect(messages('---\n\n## "@saccade/core": minor\n\nText.\n')).toEqual([
    expect.stringContaining('between two lines'),
  ]);
  expect(messages('---\n"@saccade/other": minor\n---\nText.\n')).toEqual([expect.stringContaining('@saccade/other')]);
  expect(messages('---\n"@saccade/bench": minor\n---\nText.\n')).toEqual([expect.stringContaining('published')]);
  expect(messages('---\n"@saccade/core": tiny\n---\nText.\n')).toEqual([expect.stringContaining('tiny')]);
  expect(messages('---\n"@saccade/core": patch\n---\n')).toEqual(['says nothing']);
});
