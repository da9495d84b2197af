import { expect, it } from 'vitest';
import { keptPositions } from '../src/kept-positions.ts';
import { newMethodReference } from '../src/reference.ts';

it('check 3: keeps the first and the most recent positions, each once', () => {
  expect(keptPositions(10, { sinks: 2, window: 3 })).toEqual([0, 1, 7, 8, 9]);
  expect(keptPositions(4, { sinks: 2, window: 3 })).toEqual([0, 1, 2, 3]);
  expect(keptPositions(1, { sinks: 0, window: 1 })).toEqual([0]);
});

it('check 4: reads nothing outside them', () => {
  const keys = [[1], [9], [9], [1]];
  const value = newMethodReference([1], keys, [[2], [100], [100], [4]], { sinks: 1, window: 1 });
  expect(value).toEqual([3]);
});
