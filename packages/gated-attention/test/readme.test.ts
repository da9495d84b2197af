import { readFileSync } from 'node:fs';
import { optionsTable } from '@saccade/core';
import { expect, it } from 'vitest';
import { gatedAttentionOptions } from '../src/index.ts';

const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8');

it('the README’s table of options is the schema’s', () => {
  const cells = (text: string) =>
    text
      .split('\n')
      .filter((line) => line.startsWith('| `'))
      .map((line) => line.replaceAll(/\s+/g, ' '));
  expect(cells(readme)).toEqual(cells(optionsTable(gatedAttentionOptions)));
});

it('the README says that it is no retrofit', () => {
  expect(readme).toMatch(/no\s+retrofit/);
});
