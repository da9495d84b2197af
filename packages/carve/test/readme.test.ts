import { readFileSync } from 'node:fs';
import { optionsTable } from '@saccade/core';
import { optionRows } from '@saccade/core/testing';
import { expect, it } from 'vitest';
import { carveOptions } from '../src/index.ts';

it('the README’s table of options is the schema’s', () => {
  const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8');
  expect(optionRows(readme)).toEqual(optionRows(optionsTable(carveOptions)));
});
