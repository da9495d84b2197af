import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeAll, beforeEach, expect, it, vi } from 'vitest';
import { examples, examplesFolder, writeExamples } from '../src/examples/examples.ts';
import { opened, shippedModels, sizes, substitutes, unrun, watchedCore } from './shipped-models.ts';

/*
 * Every example of READMEs and guides runs as it stands there, but for the models: loaders give the workspace's small ones
 * for published names, and a few sizes follow (`shipped-models.ts`).
 */
vi.mock('@saccade/core', async (original) => watchedCore(await original()));
vi.mock('@saccade/models', async (original) => shippedModels(await original()));

const all = examples();
const runnable = all.filter(({ name }) => !(name in unrun));
let printed = '';

beforeAll(() => writeExamples(all));

beforeEach(() => {
  printed = '';
  const print = (...values: unknown[]) => {
    printed += `${values.join(' ')}\n`;
    return true;
  };
  vi.spyOn(console, 'log').mockImplementation(print);
  vi.spyOn(process.stdout, 'write').mockImplementation(print as typeof process.stdout.write);
});

afterEach(() => {
  vi.restoreAllMocks();
  for (const gpu of opened.splice(0)) gpu.dispose();
});

it('what is changed or left out stands in some example', () => {
  const names = all.map(({ name }) => name);
  for (const name of [...Object.keys(sizes), ...Object.keys(unrun)]) expect(names).toContain(name);
  for (const text of Object.keys(substitutes)) expect(all.some((example) => example.text.includes(text))).toBe(true);
});

it.each(runnable)(
  '$page:$line runs',
  async ({ name, text }) => {
    const file = join(examplesFolder, `${name}.ts`);
    let code = readFileSync(file, 'utf8');
    for (const [from, to] of [...(sizes[name] ?? []), ...Object.entries(substitutes)]) {
      if (sizes[name]?.some(([published]) => published === from)) expect(code).toContain(from);
      code = code.replaceAll(from, to);
    }
    writeFileSync(file, code);
    await import(/* @vite-ignore */ file);
    // Whatever shows results in the page shows some here.
    if (/^(?!\s).*(?:console\.log|stdout\.write)\(/m.test(text)) expect(printed.trim()).not.toBe('');
  },
  90_000,
);
