import type { ModelHandle, RawImage } from '@saccade/core';
import { carve, carveOptions, type ResolvedCarveOptions } from '../src/index.ts';

/** CARVE as a bench lists it: a procedure around a model that sees. */
export const carveEntry = {
  name: 'carve',
  title: 'CARVE',
  description: 'Answers again with the part of the image that the question, and no other text, draws attention to.',
  paper: 'arXiv 2509.06461',
  role: 'method' as const,
  phases: ['prefill', 'decode'] as const,
  needs: 'vision' as const,
  options: carveOptions,
  create: () => undefined,
  answer:
    (options: ResolvedCarveOptions) =>
    async (
      model: ModelHandle,
      { image, text }: { readonly image: RawImage; readonly text: string },
      { maxTokens, signal }: { readonly maxTokens: number; readonly signal: AbortSignal },
    ): Promise<string> => {
      // A scenario's questions say themselves how they want to be answered.
      const input = { image, text, answerSuffix: '', signal };
      return (await carve(model, input, { ...options, maxNewTokens: maxTokens })).refinedAnswer;
    },
};
