import { ArgumentError, type CacheOptions, type Method, MethodRun } from '@saccade/core';
import { DryGeneration } from './dry-generation.ts';
import type { LanguageModel } from './language-model.ts';

/** A generation whose memory is asked for. */
export interface MemoryRequest {
  /** Tokens of each text at its end: prompt and continuation. */
  readonly context: number;
  /** Those of them that are generated; default 128 (`maxTokens` of `generate`), or all but one of a shorter context. */
  readonly newTokens?: number;
  /** Texts that are continued together; default 1. */
  readonly batch?: number;
  readonly method?: Method | readonly Method[] | undefined;
  /** How the caches keep tokens, as in `generate`. */
  readonly cache?: CacheOptions | undefined;
}

/** Bytes of GPU memory, as `gpu.stats()` counts them. Buffers that wait for reuse come on top, up to `maxPooledBytes`. */
export interface MemoryEstimate {
  /** The model's own: weights and tables. */
  readonly weights: number;
  /** Keys and values at the end, of all texts. */
  readonly cache: number;
  /** Whatever else lives at the peak: activations, logits, a method's state, prompts' caches while a batch is joined. */
  readonly working: number;
  readonly total: number;
}

/** Runs the passes of a generation dry; see `LanguageModel.estimateMemory`. */
export async function estimateMemory(
  model: LanguageModel,
  weights: number,
  request: MemoryRequest,
): Promise<MemoryEstimate> {
  const { context, batch = 1, method, cache: kept } = request;
  const newTokens = request.newTokens ?? Math.min(128, context - 1);
  const { contextLength } = model.facts;
  if (!(Number.isInteger(context) && context >= 2 && context <= contextLength))
    throw new ArgumentError('context', context, `an integer from 2 to ${contextLength}`);
  if (!(Number.isInteger(newTokens) && newTokens >= 1 && newTokens < context))
    throw new ArgumentError('newTokens', newTokens, 'an integer of 1 or more, below the context');
  if (!(Number.isInteger(batch) && batch >= 1)) throw new ArgumentError('batch', batch, 'an integer of 1 or more');

  const { gpu } = model;
  const before = gpu.stats().liveBytes;
  const run = await MethodRun.start(model, method, { cache: kept });
  const dense = run.methods.length === 0;
  const state = gpu.stats().liveBytes - before;
  const prompt = new Array<number>(context - newTokens).fill(0);
  let cache = 0;
  const peak = gpu.dryRun(() => {
    const generation = new DryGeneration(model, run);
    try {
      cache =
        dense && batch > 1
          ? generation.together(prompt, newTokens, batch)
          : generation.oneByOne(prompt, newTokens, batch);
    } finally {
      generation.dispose();
      // What a method has kept of a pass goes with its run.
      run.dispose();
    }
  });
  // With a method every text has a run of its own.
  const working = peak - cache + (dense ? 0 : batch * state);
  return { weights, cache, working, total: weights + cache + working };
}
