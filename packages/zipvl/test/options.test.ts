import { readFileSync } from 'node:fs';
import { OptionError, optionsTable } from '@saccade/core';
import { optionRows } from '@saccade/core/testing';
import { expect, it } from 'vitest';
import { zipvl, zipvlOptions } from '../src/index.ts';

it.each([
  [{ tau: 0 }, /tau/],
  [{ tau: 1.1 }, /tau/],
  [{ bitsImportant: 3 }, /bitsImportant.*3.*2, 4, 8, 16/],
  [{ bitsOther: 8 }, /bitsOther.*8.*4 or fewer/],
  [{ recentProbes: 0, randomProbes: 0 }, /recentProbes/],
  [{ recompressEvery: 0 }, /recompressEvery/],
])('refuses %j and names it', (options, message) => {
  expect(() => zipvl(options)).toThrow(OptionError);
  expect(() => zipvl(options)).toThrow(message);
});

it('the README’s table of options is the schema’s', () => {
  const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8');
  expect(optionRows(readme)).toEqual(optionRows(optionsTable(zipvlOptions)));
});
