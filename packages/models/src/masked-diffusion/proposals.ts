import {
  add,
  argmax,
  crossEntropy,
  exp,
  logSoftmax,
  multiply,
  negate,
  randomGumbel,
  randomUniform,
  scale,
  softmax,
  subtract,
  sum,
  type Tensor,
  topK,
  topPFilter,
} from '@saccade/core';
import { type DenoisingSettings, isLlada } from './options.ts';

/** A token for each place of a block, and how much speaks for it. */
export interface Proposals {
  /** u32 [R] */
  readonly tokens: Tensor;
  /** f32 [R]; only its order counts. */
  readonly confidence: Tensor;
}

/**
 * Chooses tokens for R places.
 *
 * Token noise is stream 2 s of the seed in step s, a Gumbel number per place and token; what decides between places is stream
 * 2 s + 1: a Gumbel number per place where they are drawn by confidence, a uniform one where by chance.
 *
 * @param logits f32 [R, V]
 * @param step The number of the step in the run.
 */
export function proposeTokens(logits: Tensor, settings: DenoisingSettings, step: number): Proposals {
  return logits.gpu.tidy(() => {
    const { tokens, scores } = isLlada(settings.algorithm)
      ? noisyTokens(logits, settings, step)
      : sampledTokens(logits, settings, step);
    return { tokens, confidence: confidence(tokens, scores, settings, step) };
  });
}

/** Tokens, and the scores f32 [R, V] whose softmax says how sure they are. */
interface Choice {
  readonly tokens: Tensor;
  readonly scores: Tensor;
}

/** LLaDA: noise of a temperature is added to the logits, but the confidence is that without noise. */
function noisyTokens(logits: Tensor, { temperature, seed }: DenoisingSettings, step: number): Choice {
  if (temperature === 0) return { tokens: argmax(logits), scores: logits };
  const noise = randomGumbel(logits.gpu, logits.shape, { seed, stream: 2 * step });
  return { tokens: argmax(add(logits, scale(noise, temperature))), scores: logits };
}

/** Dream: the logits are divided by the temperature and filtered, and what remains is sampled and also says how sure a token is. */
function sampledTokens(logits: Tensor, { temperature, topP, seed }: DenoisingSettings, step: number): Choice {
  const scores = topPFilter(temperature === 0 ? logits : scale(logits, 1 / temperature), topP);
  if (temperature === 0) return { tokens: argmax(scores), scores };
  const noise = randomGumbel(logits.gpu, logits.shape, { seed, stream: 2 * step });
  return { tokens: argmax(add(scores, noise)), scores };
}

function confidence(tokens: Tensor, scores: Tensor, settings: DenoisingSettings, step: number): Tensor {
  const { algorithm, algorithmTemperature, seed } = settings;
  const random = { seed, stream: 2 * step + 1 };
  // The least of these numbers is the likeliest to be below a chance.
  if (algorithm === 'random') return randomUniform(tokens.gpu, tokens.shape, random);
  if (algorithm === 'origin') return negate(randomUniform(tokens.gpu, tokens.shape, random));
  if (algorithm === 'low-confidence') return logProbability(tokens, scores);
  const sure = sureness(tokens, scores, algorithm);
  if (algorithmTemperature === 0) return sure;
  // The largest of log-probabilities plus Gumbel numbers are a draw without replacement.
  return add(scale(sure, 1 / algorithmTemperature), randomGumbel(tokens.gpu, tokens.shape, random));
}

/** Of each token under the softmax of its scores: f32 [R]. */
function logProbability(tokens: Tensor, scores: Tensor): Tensor {
  return negate(crossEntropy(scores, tokens));
}

function sureness(tokens: Tensor, scores: Tensor, algorithm: 'maskgit-plus' | 'top-k-margin' | 'entropy'): Tensor {
  if (algorithm === 'maskgit-plus') return exp(logProbability(tokens, scores));
  const probabilities = softmax(scores);
  if (algorithm === 'entropy') return sum(multiply(probabilities, logSoftmax(scores)), { axis: 1 });
  const { values } = topK(probabilities, 2);
  return subtract(values.slice(1, 0, 1), values.slice(1, 1, 2)).reshape([tokens.size]);
}
