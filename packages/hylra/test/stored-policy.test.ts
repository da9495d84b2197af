import { ArgumentError, type ModelFacts, RefusedError } from '@saccade/core';
import { describe, expect, it } from 'vitest';
import { checkFingerprint, parsePolicy, shippedPolicies, storePolicy } from '../src/index.ts';

const facts: ModelFacts = {
  name: 'small',
  architecture: 'llama',
  layers: 4,
  layerKinds: ['global', 'window', 'global', 'global'],
  heads: 4,
  kvHeads: 2,
  headSize: 16,
  hiddenSize: 64,
  vocabularySize: 300,
  contextLength: 512,
  causal: true,
};

describe('stored policies', () => {
  it('come back from JSON as they were', () => {
    const stored = storePolicy(facts, [-1, 0, -1], { topK: 64, theta: 0.8 });
    expect(parsePolicy(JSON.stringify(stored))).toEqual(stored);
    checkFingerprint(stored, facts);
  });

  it('that are shipped can be read', () => {
    for (const stored of shippedPolicies) expect(parsePolicy(JSON.stringify(stored))).toEqual(stored);
  });

  it('are refused on another model, naming the difference and what to do', () => {
    const stored = storePolicy(facts, [-1, 0, -1]);
    const other = { ...facts, name: 'other', heads: 8 };
    expect(() => checkFingerprint(stored, other)).toThrow(RefusedError);
    expect(() => checkFingerprint(stored, other)).toThrow(/other.*made for small.*heads is 4, not 8.*profileLayers/);
  });

  it('are refused where a file is damaged', () => {
    const stored = storePolicy(facts, [-1, 0, -1]);
    for (const [damaged, message] of [
      ['{"format', /policy file/],
      ['null', /content/],
      [{ ...stored, format: 'x' }, /format/],
      [{ ...stored, version: 2 }, /version/],
      [{ ...stored, fingerprint: null }, /fingerprint/],
      [{ ...stored, fingerprint: { ...stored.fingerprint, heads: 1.5 } }, /fingerprint.heads/],
      [{ ...stored, fingerprint: { ...stored.fingerprint, architecture: 3 } }, /architecture/],
      [{ ...stored, policy: 'all' }, /policy/],
      [{ ...stored, policy: [-1, 2, -1] }, /policy\[1\]/],
      [{ ...stored, policy: [-1, 0] }, /2 entries/],
    ] as const) {
      expect(() => parsePolicy(damaged)).toThrow(ArgumentError);
      expect(() => parsePolicy(damaged)).toThrow(message);
    }
  });
});
