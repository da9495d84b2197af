import { expect, it } from 'vitest';
import { charts, drawChart, numberIn } from '../src/site/charts.ts';

it.each(charts)('$slug: draws the numbers of its README', (chart) => {
  const picture = drawChart(chart);
  const marks = picture.match(/<circle|<rect x=/g) ?? [];
  expect(marks.length).toBeGreaterThan(2);
  expect(picture).not.toMatch(/NaN|undefined|Infinity/);
});

it('names a table that is gone', () => {
  const [chart] = charts;
  if (!chart) throw new Error('no charts');
  expect(() => drawChart({ ...chart, table: 'no such table' })).toThrow(/flash-attention-2.*no such table/);
  expect(() => drawChart({ ...chart, columns: ['no such column'] })).toThrow(/no such column/);
});

it.each([
  ['1,721 [1,691, 1,726]', 1721],
  ['91 (87 to 94)', 91],
  ['0.0065 ± 0.0069', 0.0065],
  ['11.9, 13.9, 13.1 (82%)', 13.1],
  ['the same policy', undefined],
])('reads %s as %s', (cell, number) => {
  expect(numberIn(cell)).toBe(number);
});
