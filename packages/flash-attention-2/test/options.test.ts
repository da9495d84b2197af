import { readFileSync } from 'node:fs';
import { OptionError, optionsTable } from '@saccade/core';
import { optionRows } from '@saccade/core/testing';
import { expect, it } from 'vitest';
import { flashAttentionOptions } from '../src/index.ts';
import { windowOf } from '../src/window.ts';

it('the README’s table of options is the schema’s', () => {
  const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8');
  expect(optionRows(readme)).toEqual(optionRows(optionsTable(flashAttentionOptions)));
});

it('a causal window has nothing to the right, and -1 is no bound', () => {
  expect(windowOf({ causal: false, window: [-1, 3] })).toEqual({ left: Number.POSITIVE_INFINITY, right: 3 });
  expect(windowOf({ causal: true, window: [5, 3] })).toEqual({ left: 5, right: 0 });
  expect(() => windowOf({ causal: false, window: [1, 2, 3] })).toThrow(OptionError);
});
