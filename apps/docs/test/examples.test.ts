import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { beforeAll, expect, it } from 'vitest';
import { examples, examplesFolder, examplesOf, writeExamples } from '../src/examples/examples.ts';
import { workspace } from '../src/workspace.ts';

const all = examples();
let output = '';

beforeAll(async () => {
  await writeExamples(all);
  const compiler = join(workspace, 'node_modules', 'typescript', 'bin', 'tsc');
  output = spawnSync(process.execPath, [compiler, '-p', examplesFolder, '--pretty', 'false'], {
    encoding: 'utf8',
  }).stdout;
}, 120_000);

it('every page that users read first is looked at', () => {
  const pages = new Set(all.map(({ page }) => page));
  for (const page of ['README.md', 'packages/core/README.md', 'packages/tidaldecode/README.md', 'docs/guides/start.md'])
    expect([...pages]).toContain(page);
});

it.each(all)('$page:$line compiles', ({ name }) => {
  const errors = output.split('\n').filter((line) => line.includes(`${name}.ts(`));
  expect(errors).toEqual([]);
});

it('nothing else went wrong', () => {
  const ofExamples = (line: string) => all.some(({ name }) => line.includes(`${name}.ts(`));
  expect(output.split('\n').filter((line) => line.trim() !== '' && !/^\s/.test(line) && !ofExamples(line))).toEqual([]);
});

it('finds the blocks of a page, and not those of named files', () => {
  const page = 'Text\n\n```ts\nconst a = 1;\n```\n\n```ts src/options.ts\nconst b = 2;\n```\n\n```js\nlet c;\n```\n';
  expect(examplesOf('docs/guides/a.md', page)).toEqual([
    { page: 'docs/guides/a.md', line: 4, name: 'docs-guides-a-1', text: 'const a = 1;\n' },
  ]);
});
