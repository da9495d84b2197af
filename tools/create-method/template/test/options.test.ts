import { readFileSync } from 'node:fs';
import { OptionError, optionsTable } from '@saccade/core';
import { optionRows } from '@saccade/core/testing';
import { expect, it } from 'vitest';
import { newMethod, newMethodOptions } from '../src/index.ts';

it('refuses what is out of range and names it', () => {
  expect(() => newMethod({ window: 0 })).toThrow(OptionError);
  expect(() => newMethod({ window: 0 })).toThrow(/window.*0.*>= 1/);
});

it('the README’s table of options is the schema’s', () => {
  const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8');
  expect(optionRows(readme)).toEqual(optionRows(optionsTable(newMethodOptions)));
});
