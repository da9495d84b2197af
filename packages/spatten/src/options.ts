import {
  boolean,
  choice,
  defineOptions,
  type GivenOptions,
  integer,
  list,
  number,
  OptionError,
  type OptionsOf,
  parseOptions,
} from '@saccade/core';

const share = { min: 0, max: 1 } as const;
const kept = { above: 0, max: 1 } as const;

/** Every option of SpAtten: default, range, meaning. */
export const spattenOptions = defineOptions({
  averageTokenKeep: number({
    default: 0.5,
    ...kept,
    description: 'Mean share of tokens that pruning layers keep; the share falls linearly from layer to layer.',
  }),
  freeTokenLayers: number({
    default: 0.15,
    ...share,
    description: 'Share of layers at the front that keep all tokens.',
  }),
  tokenKeep: list(number(kept), {
    default: null,
    description: 'Share of tokens that each layer keeps, never rising; in place of the two options above.',
  }),
  averageHeadKeep: number({
    default: 1,
    ...kept,
    description: 'Mean share of key/value heads that pruning layers keep; 1 prunes none.',
  }),
  freeHeadLayers: number({ default: 0.3, ...share, description: 'Share of layers at the front that keep all heads.' }),
  headKeep: list(number(kept), {
    default: null,
    description: 'Share of key/value heads that each layer keeps, never rising; in place of the two options above.',
  }),
  valueKeep: number({
    default: 1,
    ...kept,
    description: 'Share of the kept tokens whose values are read, by probability, per head and query.',
  }),
  requantThreshold: number({
    default: null,
    min: 0,
    description:
      'Progressive quantization in decode steps: low bits of keys are read where no probability by the high bits reaches this.',
  }),
  highBits: integer({ default: 6, min: 2, max: 8, description: 'Bits of keys that are read first; even.' }),
  lowBits: integer({
    default: 4,
    min: 2,
    max: 8,
    description: 'Further bits of keys, read on demand; even, 12 in all.',
  }),
  valueBits: integer({
    default: 8,
    min: 2,
    max: 12,
    description: 'Bits of values with progressive quantization; even.',
  }),
  protectFirst: integer({
    default: 1,
    min: 0,
    description: 'First tokens that stay: CLS in encoders; in causal prompts a key for every query.',
  }),
  normalizeByVisits: boolean({
    default: false,
    description: 'Divides importance by the number of queries that could see a token; early tokens have more of them.',
  }),
  phases: list(choice(['prefill', 'decode', 'encode']), {
    default: ['decode', 'encode'] as const,
    minLength: 1,
    description: 'Where it prunes. In prompts of decoders it costs far more quality than in their steps.',
  }),
});

/** What a caller may give; everything has a default. */
export type SpattenOptions = GivenOptions<typeof spattenOptions>;

/** All options, defaults filled in. */
export type ResolvedSpattenOptions = OptionsOf<typeof spattenOptions>;

/**
 * Full, validated options.
 *
 * @throws OptionError, also for what a range cannot say: bits that no format of the cache has.
 */
export function resolveOptions(options: SpattenOptions): ResolvedSpattenOptions {
  const resolved = parseOptions(spattenOptions, options);
  const { highBits, lowBits } = resolved;
  for (const name of ['highBits', 'lowBits', 'valueBits'] as const)
    if (resolved[name] % 2 !== 0) throw new OptionError(name, resolved[name], 'an even number');
  if (highBits + lowBits > 12) {
    throw new OptionError('lowBits', lowBits, `an even number up to ${12 - highBits}, for 12 bits with highBits`);
  }
  return resolved;
}
