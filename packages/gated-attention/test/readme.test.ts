import { readFileSync } from 'node:fs';
import { optionsTable } from '@saccade/core';
import { optionRows } from '@saccade/core/testing';
import { expect, it } from 'vitest';
import { gatedAttentionOptions } from '../src/index.ts';

const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8');

it('the README’s table of options is the schema’s', () => {
  expect(optionRows(readme)).toEqual(optionRows(optionsTable(gatedAttentionOptions)));
});

it('the README says that it is no retrofit', () => {
  expect(readme).toMatch(/no\s+retrofit/);
});
