import { readFileSync } from 'node:fs';
import { OptionError, optionsTable } from '@saccade/core';
import { optionRows } from '@saccade/core/testing';
import { describe, expect, it } from 'vitest';
import { blockBudgets, choosingStep, sparseD, sparseDOptions, splitBlocks, stepKind } from '../src/index.ts';

const all = { select: 0.3, isolated: true, selection: 'reference' } as const;

describe('options', () => {
  it('refuses what is out of range and names it', () => {
    expect(() => sparseD({ select: 0 })).toThrow(OptionError);
    expect(() => sparseD({ select: 1.1 })).toThrow(/select.*1\.1/);
    expect(() => sparseD({ skip: -0.1 })).toThrow(/skip/);
    expect(() => sparseD({ blockSize: 0 })).toThrow(/blockSize.*>= 1/);
  });

  it('the README’s table of options is the schema’s', () => {
    const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8');
    expect(optionRows(readme)).toEqual(optionRows(optionsTable(sparseDOptions)));
  });
});

describe('the schedule', () => {
  const kinds = (steps: number, options: Parameters<typeof stepKind>[2]) =>
    Array.from({ length: steps }, (_, index) => stepKind(index, steps, options));

  it('switches behind floor(skip T) + 1 as the code, behind floor(skip T) as the paper', () => {
    const code = kinds(128, { skip: 0.2, schedule: 'reference' });
    expect(code.indexOf('choosing')).toBe(26);
    expect(code.filter((kind) => kind === 'sparse').length).toBe(101);
    const paper = kinds(10, { skip: 0.2, schedule: 'paper' });
    expect(paper.slice(0, 4)).toEqual(['dense', 'dense', 'choosing', 'sparse']);
  });

  it('never becomes sparse at skip 1, and at once at skip 0', () => {
    expect(kinds(8, { skip: 1, schedule: 'reference' })).toEqual(new Array(8).fill('dense'));
    expect(choosingStep(8, { skip: 0, schedule: 'paper' })).toBe(0);
  });
});

describe('budgets', () => {
  it('check 4: 3 of 8 blocks before those that are generated are dropped, 1 of 2 generated ones', () => {
    const split = splitBlocks(1024, 768, 128);
    expect(split).toEqual({ blocks: 8, firstGenerated: 6 });
    expect(blockBudgets(split, all)).toEqual([
      { softmaxOver: 'all', k: 3, among: { start: 0, end: 8 }, keep: { start: 0, end: 6 } },
      { softmaxOver: 'generated', k: 1, among: { start: 6, end: 8 }, keep: { start: 6, end: 8 } },
    ]);
  });

  it('of the paper rank the prompt’s blocks alone', () => {
    expect(blockBudgets(splitBlocks(1024, 768, 128), { ...all, selection: 'paper' })).toEqual([
      { softmaxOver: 'all', k: 2, among: { start: 0, end: 6 }, keep: { start: 0, end: 6 } },
      { softmaxOver: 'all', k: 1, among: { start: 6, end: 8 }, keep: { start: 6, end: 8 } },
    ]);
  });

  it('count a block across the border as prompt, and leave one block for what is generated', () => {
    expect(splitBlocks(40, 17, 8)).toEqual({ blocks: 5, firstGenerated: 3 });
    expect(splitBlocks(40, 40, 8)).toEqual({ blocks: 5, firstGenerated: 4 });
    expect(splitBlocks(37, 36, 8)).toEqual({ blocks: 5, firstGenerated: 4 });
  });

  it('take one choice without a prompt, and never more blocks than there are', () => {
    expect(blockBudgets(splitBlocks(64, 0, 8), all)).toEqual([
      { softmaxOver: 'all', k: 3, among: { start: 0, end: 8 }, keep: { start: 0, end: 8 } },
    ]);
    const full = blockBudgets(splitBlocks(64, 32, 8), { ...all, select: 1 });
    expect(full.map(({ k }) => k)).toEqual([8, 4]);
  });
});
