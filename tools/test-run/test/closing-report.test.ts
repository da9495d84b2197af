import { expect, it } from 'vitest';
import { budgetWarnings, countsLine, type FileTime, slowestFileLines } from '../src/closing-report.ts';

const file = (project: string, name: string, seconds: number): FileTime => ({
  project,
  file: name,
  milliseconds: seconds * 1000,
});

it('lists the ten slowest files, slowest first', () => {
  const files = Array.from({ length: 12 }, (_, index) => file('core', `test/${index}.test.ts`, index));
  const lines = slowestFileLines(files);
  expect(lines).toHaveLength(11);
  expect(lines[0]).toBe('The 10 slowest of 12 files:');
  expect(lines[1]).toBe('   11.0 s  core  test/11.test.ts');
  expect(lines[10]).toBe('    2.0 s  core  test/2.test.ts');
});

it('warns of a package whose GPU tests add up to more than its budget, and of no other', () => {
  const files = [
    file('tidaldecode:gpu', 'a', 31),
    file('tidaldecode:gpu', 'b', 30),
    file('core:gpu', 'c', 239),
    file('models', 'd', 500),
  ];
  expect(budgetWarnings(files)).toEqual(['Warning: tidaldecode:gpu took 61.0 s, its budget is 60 s.']);
});

it('ends with a plain line of counts', () => {
  expect(countsLine({ passed: 3, failed: 0, skipped: 1 })).toBe('3 passed, 0 failed, 1 skipped');
});
