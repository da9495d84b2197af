import type { Method, Prompt } from '@saccade/core';
import type { LanguageModel } from '@saccade/models';
import { progressStream, startProgress } from '../progress/progress.ts';

/** What a reader sees being written before anything is measured. */
export interface Demonstration {
  /** Said before the answers. @param tokens length of the prompt */
  readonly introduction: (tokens: number) => string;
  readonly prompt: Prompt;
  /** Tokens of each answer. */
  readonly answerTokens: number;
  /** 0 for greedy answers. */
  readonly temperature: number;
  readonly method: { readonly title: string; readonly create: () => Method };
}

/** Streams two answers from one prefill: dense, then with the method. */
export async function demonstrate(
  model: LanguageModel,
  { introduction, prompt, answerTokens, temperature, method }: Demonstration,
  signal: AbortSignal,
): Promise<void> {
  const progress = startProgress('Reading a page', progressStream());
  progress.total(100);
  let done = 0;
  const read = await model.prefill(prompt, {
    signal,
    onProgress: (share) => {
      progress.advance(Math.round(share * 100) - done);
      done = Math.round(share * 100);
    },
  });
  progress.finish();
  console.log(`\n${introduction(read.length)}`);
  try {
    for (const { title, create } of [
      { title: 'dense: every head reads all tokens', create: () => undefined },
      method,
    ]) {
      // The first tokens compile kernels; they do not count.
      for await (const _ of model.generate(read, { method: create(), maxTokens: 3, signal }));
      console.log(`\n--- ${title}`);
      const start = performance.now();
      let tokens = 0;
      const options = { method: create(), maxTokens: answerTokens, temperature, signal };
      for await (const piece of model.generate(read, options)) {
        process.stdout.write(piece.text);
        tokens += piece.ids.length;
      }
      console.log(`\n(${tokens} tokens, ${(tokens / ((performance.now() - start) / 1000)).toFixed(1)} per second)`);
    }
  } finally {
    read.dispose();
  }
}
