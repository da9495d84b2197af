import type { Method, Tensor } from '@saccade/core';

/** Changes all heads of one layer, in the sequence and in its twin without images. */
export const twin = (change: (heads: Tensor) => Tensor, layer: number): Method => ({
  name: 'twin',
  options: { layer },
  phases: ['prefill', 'decode'],
  requires: { spans: ['image'] },
  wholePrompt: true,
  companions({ prompt }) {
    const plain = prompt.withoutImages();
    return [{ ids: plain.ids, prompt: plain, promptOnly: true }];
  },
  afterAttention(context, { output }, companions) {
    if (context.layer !== layer) return undefined;
    return { output: change(output), companions: companions.map((each) => change(each.output)) };
  },
});
