import {
  ArgumentError,
  crossEntropy,
  type HostArray,
  MethodRun,
  PromptCache,
  type RunOptions,
  sampleToken,
  type Tensor,
} from '@saccade/core';
import type { LanguageModel } from '../language-model/language-model.ts';

/** Negative log-likelihoods, in nats, of given tokens. */
export interface Score {
  readonly losses: Float32Array;
  /** exp of the mean loss. */
  readonly perplexity: number;
}

/** Logit rows of one launch: bounds the tensor [rows, vocabularySize]. */
const rowsPerChunk = 128;

/**
 * Perplexity of a text under the model: each token but the first is predicted from all before it, in one dense pass.
 *
 * @param ids At least two token ids.
 */
export async function perplexity(
  model: LanguageModel,
  ids: readonly number[],
  options: RunOptions = {},
): Promise<Score> {
  if (ids.length < 2) throw new ArgumentError('ids', ids, 'at least two token ids');
  const { gpu } = model;
  const run = await MethodRun.start(model, options.method, options);
  const cache = model.createCache(ids.length, run);
  const losses: Tensor[] = [];
  try {
    for (let start = 0; start < ids.length - 1; start += rowsPerChunk) {
      options.signal?.throwIfAborted();
      const inputs = ids.slice(start, Math.min(start + rowsPerChunk, ids.length - 1));
      const targets = ids.slice(start + 1, start + 1 + inputs.length);
      losses.push(
        gpu.keep(
          gpu.tidy(() => {
            const { logits } = model.forward(inputs, { cache, run, logits: 'all' });
            return crossEntropy(logits as Tensor, gpu.tensor(targets, [targets.length], 'u32'));
          }),
        ),
      );
      await gpu.synchronize();
      options.onProgress?.((start + inputs.length) / (ids.length - 1));
    }
    return score(await gpu.read(losses));
  } finally {
    for (const tensor of losses) tensor.dispose();
    cache.dispose();
    run.dispose();
  }
}

/** A continuation scored token by token, with the logits of each step if asked for. */
export interface ContinuationScore extends Score {
  /** Token ids with the highest logit at each step: what greedy decoding would have said. */
  readonly greedy: Uint32Array;
}

/**
 * Scores a given continuation of a prompt one decode step at a time, so that methods which act on decoding are in force.
 * A prompt that was run before is forked and stays as it is; token ids are run first, so that methods which act on prompts
 * are in force too. One readback at the end.
 *
 * @param onLogits Called with each step's logits, f32 [1, vocabularySize], before the next step; for divergences.
 */
export async function scoreContinuation(
  model: LanguageModel,
  prompt: PromptCache | readonly number[],
  continuation: readonly number[],
  options: RunOptions & { readonly onLogits?: (logits: Tensor, step: number) => void } = {},
): Promise<ContinuationScore> {
  if (continuation.length === 0) throw new ArgumentError('continuation', continuation, 'at least one token id');
  const { gpu } = model;
  const run = await MethodRun.start(model, options.method, options);
  const losses: Tensor[] = [];
  const tops: Tensor[] = [];
  let fork: PromptCache | undefined;
  let logits: Tensor | undefined;
  try {
    const reserve = continuation.length;
    fork =
      prompt instanceof PromptCache
        ? prompt.fork()
        : await model.prefillWith(run, prompt, { reserve, signal: options.signal });
    if (fork.kv.capacity < fork.length + reserve) fork.kv.grow(fork.length + reserve);
    logits = gpu.keep(fork.nextLogits.alias());
    const ids = [...fork.ids];
    run.phase = 'decode';
    for (const [step, id] of continuation.entries()) {
      options.signal?.throwIfAborted();
      const current = logits;
      options.onLogits?.(current, step);
      losses.push(gpu.keep(gpu.tidy(() => crossEntropy(current, gpu.tensor([id], [1], 'u32')))));
      tops.push(gpu.keep(sampleToken(current, { temperature: 0 })));
      options.onProgress?.((step + 1) / continuation.length);
      if (step === continuation.length - 1) break;
      if (step > 0) await run.step({ phase: 'decode', gpu, model, cache: fork.kv, ids, decoded: step });
      const next = model.forward([id], { cache: fork.kv, run });
      next.hidden.dispose();
      current.dispose();
      logits = gpu.keep(next.logits as Tensor);
      ids.push(id);
      if (step % 8 === 7) await gpu.synchronize();
    }
    const values = await gpu.read([...losses, ...tops]);
    const greedy = Uint32Array.from(values.slice(losses.length), ([id]) => id as number);
    return { ...score(values.slice(0, losses.length)), greedy };
  } finally {
    logits?.dispose();
    for (const tensor of [...losses, ...tops]) tensor.dispose();
    fork?.dispose();
    run.dispose();
  }
}

function score(parts: readonly HostArray[]): Score {
  const losses = Float32Array.from(parts.flatMap((part) => [...part]));
  const mean = losses.reduce((sum, loss) => sum + loss, 0) / losses.length;
  return { losses, perplexity: Math.exp(mean) };
}
