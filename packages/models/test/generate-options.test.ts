import { ArgumentError } from '@saccade/core';
import { describe, expect, it } from 'vitest';
import { resolveGenerateOptions } from '../src/language-model/generate-options.ts';

describe('generation options', () => {
  it('fills in defaults: greedy, 128 tokens', () => {
    expect(resolveGenerateOptions({})).toEqual({
      maxTokens: 128,
      temperature: 0,
      topK: 0,
      topP: 1,
      repetitionPenalty: 1,
      seed: 0,
      stop: [],
      ignoreEndOfText: false,
    });
    expect(resolveGenerateOptions({ stop: 'x' }).stop).toEqual(['x']);
  });

  for (const [name, value] of [
    ['maxTokens', 0],
    ['maxTokens', 1.5],
    ['temperature', -1],
    ['temperature', Number.NaN],
    ['topK', -1],
    ['topP', 0],
    ['topP', 1.1],
    ['repetitionPenalty', 0],
    ['seed', -1],
  ] as const) {
    it(`refuses ${name} = ${value} and names it`, () => {
      expect(() => resolveGenerateOptions({ [name]: value })).toThrow(ArgumentError);
      expect(() => resolveGenerateOptions({ [name]: value })).toThrow(new RegExp(`${name}: got ${value}`));
    });
  }
});
