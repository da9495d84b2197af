import { ArgumentError, type RunOptions } from '@saccade/core';

/**
 * How tokens are chosen and which of them stay in a step. LLaDA's: `low-confidence` (the most probable ones stay) and `random`.
 * Dream's: `maskgit-plus` (the most probable), `top-k-margin` (the farthest ahead of the second), `entropy` (of the least entropy),
 * `origin` (each by chance).
 */
export type DenoisingAlgorithm = 'low-confidence' | 'random' | 'maskgit-plus' | 'top-k-margin' | 'entropy' | 'origin';

export interface DenoiseOptions extends Omit<RunOptions, 'cache'> {
  /** Tokens to write. Default 128. */
  readonly length?: number;
  /** Tokens that are written together, block after block from the left; divides `length`. Default: all at once. */
  readonly blockLength?: number;
  /** Steps of the whole run; a multiple of the number of blocks. Default: one per token. */
  readonly steps?: number;
  /** Default as the model was made for: `low-confidence` of LLaDA, `entropy` of Dream. */
  readonly algorithm?: DenoisingAlgorithm;
  /** 0 (default) takes the most probable token at each place. */
  readonly temperature?: number;
  /** Keeps the smallest set of tokens with at least this mass; default 1. Dream's algorithms only. */
  readonly topP?: number;
  /** Above 0 (default) the tokens that stay are drawn by their confidence. `maskgit-plus`, `top-k-margin` and `entropy` only. */
  readonly algorithmTemperature?: number;
  /** Weight w of classifier-free guidance, (1 + w) conditional - w unconditional logits; the prompt is masked in the latter. Default 0: none. */
  readonly guidance?: number;
  /** Called after each step; costs a readback of the ids. */
  readonly onStep?: ((step: DenoisedStep) => void) | undefined;
}

/** A sequence after a step. */
export interface DenoisedStep {
  /** 0-based, over all blocks. */
  readonly index: number;
  /** Steps of the whole run. */
  readonly count: number;
  /** Token ids of the whole sequence, masks among them. */
  readonly ids: Uint32Array;
}

/** What a run has written. */
export interface DenoisedText {
  /** Without special tokens. */
  readonly text: string;
  /** Token ids behind the prompt. */
  readonly ids: readonly number[];
  /** Tokens of the prompt. */
  readonly promptTokens: number;
  readonly steps: number;
}

/** Options with their defaults, which fit each other. */
export interface DenoisingSettings {
  readonly length: number;
  readonly blockLength: number;
  readonly steps: number;
  readonly algorithm: DenoisingAlgorithm;
  readonly temperature: number;
  readonly topP: number;
  readonly algorithmTemperature: number;
  readonly guidance: number;
  readonly seed: number;
}

const algorithms: readonly DenoisingAlgorithm[] = [
  'low-confidence',
  'random',
  'maskgit-plus',
  'top-k-margin',
  'entropy',
  'origin',
];

/** Whether an algorithm is one of LLaDA's, which spread tokens evenly over steps and ask the raw logits for their confidence. */
export function isLlada(algorithm: DenoisingAlgorithm): boolean {
  return algorithm === 'low-confidence' || algorithm === 'random';
}

/**
 * @param fallback The algorithm that the model was made for.
 * @throws ArgumentError for a value out of its range
 */
export function denoisingSettings(options: DenoiseOptions, fallback: DenoisingAlgorithm): DenoisingSettings {
  const length = options.length ?? 128;
  const settings = {
    length,
    blockLength: options.blockLength ?? length,
    steps: options.steps ?? length,
    algorithm: options.algorithm ?? fallback,
    temperature: options.temperature ?? 0,
    topP: options.topP ?? 1,
    algorithmTemperature: options.algorithmTemperature ?? 0,
    guidance: options.guidance ?? 0,
    seed: options.seed ?? 0,
  };
  const { blockLength, steps, algorithm, temperature, topP, algorithmTemperature, guidance, seed } = settings;
  check('length', length, 'an integer of 1 or more', Number.isInteger(length) && length >= 1);
  check(
    'blockLength',
    blockLength,
    `a divisor of ${length}`,
    Number.isInteger(length / blockLength) && blockLength >= 1,
  );
  const blocks = length / blockLength;
  check(
    'steps',
    steps,
    blocks === 1 ? 'an integer of 1 or more' : `a multiple of the ${blocks} blocks`,
    Number.isInteger(steps / blocks) && steps >= 1,
  );
  check('algorithm', algorithm, algorithms.join(', '), algorithms.includes(algorithm));
  check('temperature', temperature, 'a finite number of 0 or more', temperature >= 0 && Number.isFinite(temperature));
  check('topP', topP, 'a number above 0 and up to 1', topP > 0 && topP <= 1);
  check('topP', topP, `1 with ${algorithm}`, topP === 1 || !isLlada(algorithm));
  check(
    'algorithmTemperature',
    algorithmTemperature,
    'a finite number of 0 or more',
    algorithmTemperature >= 0 && Number.isFinite(algorithmTemperature),
  );
  const drawn = algorithm === 'maskgit-plus' || algorithm === 'top-k-margin' || algorithm === 'entropy';
  check('algorithmTemperature', algorithmTemperature, `0 with ${algorithm}`, algorithmTemperature === 0 || drawn);
  check('guidance', guidance, 'a finite number of 0 or more', guidance >= 0 && Number.isFinite(guidance));
  check('seed', seed, 'an integer of 0 or more', Number.isSafeInteger(seed) && seed >= 0);
  return settings;
}

function check(name: string, given: unknown, allowed: string, holds: boolean): void {
  if (!holds) throw new ArgumentError(`denoise: ${name}`, given, allowed);
}
