import {
  type EncodedPrompt,
  type GeneratedPiece,
  type GenerateOptions,
  type KvCache,
  MethodRun,
  type Prompt,
  PromptCache,
  type Tensor,
} from '@saccade/core';
import { Continuation } from './continuation.ts';
import { DecodeSteps } from './decode-steps.ts';
import { type ResolvedGenerateOptions, refuseCacheOptions, resolveGenerateOptions } from './generate-options.ts';
import type { LanguageModel } from './language-model.ts';
import { refuseCompanions } from './prefill-passes.ts';

/** The decoding loop behind `LanguageModel.generate`: one pass, one sample and one readback per token. */
export async function* generate(
  model: LanguageModel,
  prompt: Prompt,
  options: GenerateOptions,
): AsyncGenerator<GeneratedPiece, void, void> {
  const settings = resolveGenerateOptions(options);
  const encoded = prompt instanceof PromptCache ? undefined : await model.encode(prompt);
  const run = await startRun(model, options, encoded);
  let cache: PromptCache | undefined;
  let continuation: Continuation | undefined;
  try {
    if (prompt instanceof PromptCache) {
      refuseCompanions(run, prompt.length);
      refuseCacheOptions(options);
      run.checkSpans(prompt.facts?.spans);
    }
    cache =
      prompt instanceof PromptCache
        ? prompt.fork()
        : await model.prefillWith(run, encoded as EncodedPrompt, { ...options, reserve: settings.maxTokens });
    encoded?.dispose();
    continuation = new Continuation(model, cache.ids, settings);
    yield* decode({ model, run, kv: cache.kv, continuation, settings, options }, cache.nextLogits);
  } finally {
    continuation?.dispose();
    cache?.dispose();
    encoded?.dispose();
    run.dispose();
  }
}

/** Starts a run; where it does not start, the prompt is freed. */
async function startRun(
  model: LanguageModel,
  options: GenerateOptions,
  encoded: EncodedPrompt | undefined,
): Promise<MethodRun> {
  try {
    return await MethodRun.start(model, options.method, options);
  } catch (error) {
    encoded?.dispose();
    throw error;
  }
}

/** What one decoding works with. */
export interface Decoding {
  readonly model: LanguageModel;
  readonly run: MethodRun;
  /** Holds the continuation's ids; grows as tokens are appended. */
  readonly kv: KvCache;
  readonly continuation: Continuation;
  readonly settings: ResolvedGenerateOptions;
  readonly options: GenerateOptions;
}

/** Continues a text that was run, from the logits of its last token (which stay the caller's). */
export async function* decode(
  { model, run, kv, continuation, settings, options }: Decoding,
  nextLogits: Tensor,
): AsyncGenerator<GeneratedPiece, void, void> {
  const { gpu } = model;
  const steps = new DecodeSteps(model, run);
  let logits = nextLogits;
  try {
    for (let count = 1; ; count++) {
      options.signal?.throwIfAborted();
      const { token, tensors } = continuation.sample(logits);
      try {
        const piece = continuation.tell(await gpu.read(tensors));
        options.onProgress?.(piece.finishReason ? 1 : count / settings.maxTokens);
        yield piece;
        if (piece.finishReason) return;
        if (count > 1)
          await run.step({ phase: 'decode', gpu, model, cache: kv, ids: continuation.ids, decoded: count - 1 });
        kv.reserve(1, Math.max(256, settings.maxTokens - count));
        logits = steps.next([token], kv);
        continuation.append(token, piece.ids[0] as number);
      } finally {
        for (const tensor of tensors) tensor.dispose();
      }
    }
  } finally {
    steps.dispose();
  }
}
