import { readFileSync } from 'node:fs';
import { optionsTable } from '@saccade/core';
import { expect, it } from 'vitest';
import { spattenOptions } from '../src/index.ts';

it('the README’s table of options is the schema’s', () => {
  const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8');
  const cells = (text: string) =>
    text
      .split('\n')
      .filter((line) => line.startsWith('| `'))
      .map((line) => line.replaceAll(/\s+/g, ' '));
  expect(cells(readme)).toEqual(cells(optionsTable(spattenOptions)));
});
