import { matmulReference } from '@saccade/core/testing';
import { expect, it } from 'vitest';
import { peers } from '../src/peers/peers.ts';
import { sampledError, sampledReference } from '../src/peers/reference.ts';
import { type MatmulWork, matmulInputs, workFlops, workName } from '../src/peers/work.ts';
import { chooseWorks, worksToCompare } from '../src/peers/works.ts';
import { validateResultFile } from '../src/result-file/validate.ts';
import { sampleFile } from './sample-file.ts';

const work: MatmulWork = { kind: 'matmul', m: 30, k: 8, n: 5 };

it('samples the last row of the result', () => {
  const { a, b } = matmulInputs(work);
  const whole = matmulReference(a, b, 30, 8, 5);
  const reference = sampledReference(work);
  expect(reference.starts.at(-1)).toBe(29 * 5);
  expect(sampledError(whole, reference)).toBe(0);
  const wrong = whole.slice();
  wrong[29 * 5] = Number.NaN;
  expect(sampledError(wrong, reference)).toBe(Number.POSITIVE_INFINITY);
  expect(sampledError([], reference)).toBe(Number.POSITIVE_INFINITY);
});

it('counts the seen half of causal attention', () => {
  const shape = { kind: 'attention', heads: 2, kvHeads: 2, length: 4, headSize: 8 } as const;
  expect(workFlops({ ...shape, causal: false })).toBe(4 * 2 * 16 * 8);
  expect(workFlops({ ...shape, causal: true })).toBe(4 * 2 * 10 * 8);
});

it('names works by their kinds, which a result file takes, and every engine can do one', () => {
  const works = worksToCompare(false, '/a/model.gguf');
  for (const each of works) {
    expect(workName(each)).toMatch(/^(attention (causal|other)|matmul (f32|quantized)|convolution|model|training) /);
    expect(peers.some(({ does }) => does(each))).toBe(true);
  }
  const ms = { median: 2, p10: 1, p90: 3, n: 4 };
  const row = { peer: 'another', peerMs: ms, oursMs: ms, ratio: 1, peerError: null, oursError: null, judged: true };
  validateResultFile({ ...sampleFile(), peers: works.map((each) => ({ ...row, work: workName(each) })) });
  expect(new Set(works.map(workName)).size).toBe(works.length);
  for (const peer of peers) expect(works.some(peer.does)).toBe(true);
});

it('chooses works by a part of their name, and says which there are', () => {
  const all = worksToCompare(true, undefined);
  expect(chooseWorks(all, 'matmul f32').map(workName)).toEqual(['matmul f32 512x512x512', 'matmul f32 512x576x3072']);
  expect(() => chooseWorks(all, 'matmul f64')).toThrow(/'matmul f64'.*matmul f32 512x512x512/);
});
