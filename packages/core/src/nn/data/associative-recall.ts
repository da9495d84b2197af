import { ArgumentError } from '../../errors.ts';
import { RandomStream } from '../../random/random-stream.ts';
import type { Seed } from '../../random/seed.ts';

export interface AssociativeRecallOptions {
  /** V: ids below V / 2 are keys (but 0), the others values. More than `length`. */
  readonly vocabulary: number;
  /** N: tokens of an example, even. */
  readonly length: number;
  /** Key-value pairs of an example; 4 pairs <= length. */
  readonly pairs: number;
  readonly examples: number;
  /** a in the probability (g + 1)^(a - 1) of the gap g between a pair and its query, in pairs of tokens. Default 0.01. */
  readonly power?: number;
  /** Default 0. */
  readonly seed?: Seed;
  /** Independent examples under the same seed, such as one stream per training step. Default 0. */
  readonly stream?: number;
}

/** Token ids, as `gpu.tensor(inputs, [examples, length], 'u32')` takes them. */
export interface AssociativeRecallBatch {
  /** [examples N] */
  readonly inputs: Uint32Array;
  /** [examples N]: at each query its value, elsewhere 2^32 - 1, which cross-entropy ignores. */
  readonly targets: Uint32Array;
}

/** What has no target. */
const ignored = 2 ** 32 - 1;

/**
 * Multi-query associative recall (Arora et al., "Zoology", 2023, section 3 and appendix): `pairs` keys, each followed by its value, then each
 * key once more among random tokens, at which the value is to be said. Keys of an example differ, and so do values; queries are likelier
 * near the pairs.
 *
 * @throws ArgumentError for sizes that do not fit
 */
export function associativeRecall(options: AssociativeRecallOptions): AssociativeRecallBatch {
  const { vocabulary, length, pairs, examples, power = 0.01, seed = 0, stream = 0 } = options;
  check(options, power);
  const random = new RandomStream(seed, stream);
  const inputs = new Uint32Array(examples * length);
  const targets = new Uint32Array(examples * length).fill(ignored);
  const half = Math.floor(vocabulary / 2);
  const context = 2 * pairs;
  const weights = Array.from({ length: (length - context) / 2 }, (_, gap) => (gap + 1) ** (power - 1));
  for (let start = 0; start < inputs.length; start += length) {
    const keys = distinct(random, 1, half, pairs);
    const values = distinct(random, half, vocabulary, pairs);
    const gaps = weighted(random, weights, pairs);
    for (let at = context; at < length; at++) inputs[start + at] = random.integer(vocabulary);
    keys.forEach((key, pair) => {
      const value = values[pair] as number;
      inputs[start + 2 * pair] = key;
      inputs[start + 2 * pair + 1] = value;
      const query = start + context + 2 * (gaps[pair] as number);
      inputs[query] = key;
      targets[query] = value;
    });
  }
  return { inputs, targets };
}

/** `count` different integers in [low, high), in random order. */
function distinct(random: RandomStream, low: number, high: number, count: number): number[] {
  const pool = Array.from({ length: high - low }, (_, at) => low + at);
  for (let at = 0; at < count; at++) {
    const other = at + random.integer(pool.length - at);
    [pool[at], pool[other]] = [pool[other] as number, pool[at] as number];
  }
  return pool.slice(0, count);
}

/** `count` different places, drawn one after the other with these weights: the first arrivals of exponential clocks. */
function weighted(random: RandomStream, weights: readonly number[], count: number): number[] {
  const arrivals = weights.map((weight, place) => ({ place, time: -Math.log(1 - random.next()) / weight }));
  return arrivals
    .sort((a, b) => a.time - b.time)
    .slice(0, count)
    .map(({ place }) => place);
}

function check({ vocabulary, length, pairs, examples }: AssociativeRecallOptions, power: number): void {
  const require = (name: string, given: number, holds: boolean, allowed: string) => {
    if (!holds) throw new ArgumentError(`associativeRecall: ${name}`, given, allowed);
  };
  const counts = { vocabulary, length, pairs, examples };
  for (const [name, given] of Object.entries(counts))
    require(name, given, Number.isInteger(given) && given >= 1, 'an integer of 1 or more');
  require('length', length, length % 2 === 0, 'an even number');
  require('pairs', pairs, 4 * pairs <= length, `at most length / 4 = ${Math.floor(length / 4)}`);
  require('vocabulary', vocabulary, vocabulary > length, `more than length = ${length}`);
  require('power', power, power > 0 && Number.isFinite(power), 'a number > 0');
}
