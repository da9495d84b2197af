import { RandomStream } from '@saccade/core';
import { novelBytes } from '../../data/text.ts';

/** Rows of tokens to train on and to be measured on. */
export interface TrainingTask {
  readonly name: 'novel' | 'backcopy';
  readonly vocabularySize: number;
  /** Queries and keys are normed per head. */
  readonly queryKeyNorm: boolean;
  readonly weightDecay: number;
  /** Rows of `length` + 1 tokens each, for one step of training; the same for the same seed and step. */
  batch(seed: number, step: number, rows: number, length: number): Uint32Array;
  /** Rows of `length` + 1 tokens that are not trained on, `tokens` without the first ones: always the same, of the novel at every length the same bytes. */
  heldOut(length: number, tokens: number): Uint32Array;
}

/** The end of the novel is not trained on. */
const heldOutBytes = 61_440;

/** A byte that no text has stands before every row. */
const begin = 0;

/** Bytes of the novel. */
export function novelTask(): TrainingTask {
  const bytes = novelBytes();
  const end = bytes.length - heldOutBytes;
  const rowsFrom = (starts: readonly number[], length: number) => {
    const rows = new Uint32Array(starts.length * (length + 1));
    starts.forEach((start, row) => {
      rows.set([begin, ...bytes.subarray(start, start + length)], row * (length + 1));
    });
    return rows;
  };
  return {
    name: 'novel',
    vocabularySize: 256,
    queryKeyNorm: true,
    weightDecay: 0.1,
    batch: (seed, step, rows, length) => {
      const random = new RandomStream(seed, step);
      return rowsFrom(
        Array.from({ length: rows }, () => random.integer(end - length)),
        length,
      );
    },
    heldOut: (length, tokens) => {
      const count = Math.floor(Math.min(tokens, heldOutBytes) / length);
      return rowsFrom(
        Array.from({ length: count }, (_, row) => end + row * length),
        length,
      );
    },
  };
}

const chainSize = 63;
const triggers = 3;

/**
 * The bigram-backcopy task, on which attention sinks were studied (Guo et al., "Active-Dormant Attention Heads", 2024): a Markov
 * chain whose trigger tokens are followed by the token before them. Copying is of use behind triggers alone, and a head has to
 * look somewhere else otherwise. Its models have no norms of queries and keys, which would bound scores at the beginning.
 */
export function backcopyTask(): TrainingTask {
  const chain = Array.from({ length: chainSize }, (_, from) => cumulative(successors(from)));
  const rowsOf = (random: RandomStream, rows: number, length: number) => {
    const tokens = new Uint32Array(rows * (length + 1));
    for (let row = 0; row < tokens.length; row += length + 1) {
      tokens[row] = chainSize;
      tokens[row + 1] = triggers + random.integer(chainSize - triggers);
      for (let at = row + 2; at <= row + length; at++) {
        const before = tokens[at - 1] as number;
        const drawn = random.next();
        const next = (chain[before] as Float64Array).findIndex((share) => drawn < share);
        tokens[at] = before < triggers ? (tokens[at - 2] as number) : next;
      }
    }
    return tokens;
  };
  return {
    name: 'backcopy',
    vocabularySize: chainSize + 1,
    queryKeyNorm: false,
    weightDecay: 0,
    batch: (seed, step, rows, length) => rowsOf(new RandomStream(seed, step), rows, length),
    heldOut: (length, tokens) => rowsOf(new RandomStream(0, 2 ** 31), Math.floor(tokens / length), length),
  };
}

/** Probabilities of what follows a token: a few likely successors from a hash, and one trigger in ten. */
function successors(from: number): number[] {
  const weights = Array.from({ length: chainSize }, (_, to) => hash(from * chainSize + to + 1) ** 8);
  const others = weights.slice(triggers).reduce((sum, weight) => sum + weight, 0);
  weights.fill(others / (9 * triggers), 0, triggers);
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  return weights.map((weight) => weight / total);
}

/** In [0, 1). */
function hash(index: number): number {
  let bits = Math.imul(index, 2_654_435_761) >>> 0;
  bits = Math.imul(bits ^ (bits >>> 15), 2_246_822_519) >>> 0;
  return ((bits ^ (bits >>> 13)) >>> 0) / 2 ** 32;
}

/** Upper ends of intervals; the last is beyond 1, whatever rounding did. */
function cumulative(shares: readonly number[]): Float64Array {
  let sum = 0;
  const ends = Float64Array.from(shares, (share) => {
    sum += share;
    return sum;
  });
  ends[ends.length - 1] = 2;
  return ends;
}
