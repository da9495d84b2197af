import { readFileSync } from 'node:fs';
import { OptionError, optionsTable, parseOptions } from '@saccade/core';
import { optionRows } from '@saccade/core/testing';
import { expect, it } from 'vitest';
import { basedOptions } from '../src/index.ts';

it('refuses what is out of range and names it', () => {
  expect(() => parseOptions(basedOptions, { windowSize: 1 })).toThrow(OptionError);
  expect(() => parseOptions(basedOptions, { windowSize: 1 })).toThrow(/windowSize.*1.*>= 2/);
});

it('the README’s table of options is the schema’s', () => {
  const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8');
  expect(optionRows(readme)).toEqual(optionRows(optionsTable(basedOptions)));
});
