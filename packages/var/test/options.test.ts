import { parseOptions } from '@saccade/core';
import { expect, it } from 'vitest';
import { varOptions } from '../src/index.ts';

it.each([
  { keep: 1.2 },
  { minNonSinkRatio: -0.1 },
  { minVisualMass: 2 },
  { sinkDimensions: [] },
  { sinkDimensions: [1.5] },
  { threshold: -1 },
  { ratio: 0.5 },
])('refuses %j', (options) => {
  const name = Object.keys(options)[0] as string;
  expect(() => parseOptions(varOptions, options as never)).toThrow(name);
});
