import { ArgumentError, type Method, MethodRun } from '@saccade/core';
import { DryGeneration } from './dry-generation.ts';
import type { LanguageModel } from './language-model.ts';

/** What a generation to come will look like. */
export interface WarmUpOptions {
  /** Tokens of the prompt to come, since short and long ones use different kernels. Default 512. */
  readonly promptTokens?: number;
  readonly method?: Method | readonly Method[] | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Compiles what a generation needs; see `LanguageModel.warmUp`. */
export async function warmUp(model: LanguageModel, options: WarmUpOptions): Promise<number> {
  const { promptTokens = 512, method, signal } = options;
  const most = model.facts.contextLength - 1;
  if (!(Number.isInteger(promptTokens) && promptTokens >= 1 && promptTokens <= most))
    throw new ArgumentError('promptTokens', promptTokens, `an integer from 1 to ${most}`);
  const run = await MethodRun.start(model, method, { signal });
  signal?.throwIfAborted();
  const prompt = new Array<number>(promptTokens).fill(0);
  return await model.gpu.warmUp(() => {
    const generation = new DryGeneration(model, run);
    try {
      generation.oneByOne(prompt, 1, 1);
    } finally {
      generation.dispose();
      run.dispose();
    }
  });
}
