import { crossEntropy, multiply } from '@saccade/core';
import type { LanguageModel } from '@saccade/models';

/** The mean loss on a text (nats per token) with each head of a layer silenced in turn. */
export async function headAblation(model: LanguageModel, ids: readonly number[], layer: number): Promise<number[]> {
  const { gpu, facts } = model;
  const losses: number[] = [];
  for (let head = 0; head < facts.heads; head++) {
    const others = Float32Array.from({ length: facts.heads }, (_, each) => (each === head ? 0 : 1));
    const logits = await model.logits(ids, {
      edit: { [`blocks.${layer}.attention.z`]: (z) => multiply(z, gpu.tensor(others, [1, facts.heads, 1])) },
    });
    const loss = gpu.tidy(() =>
      crossEntropy(logits.slice(0, 0, ids.length - 1), gpu.tensor(ids.slice(1), [ids.length - 1], 'u32')),
    );
    const values = (await loss.read()) as Float32Array;
    losses.push(values.reduce((sum, value) => sum + value, 0) / values.length);
    logits.dispose();
    loss.dispose();
  }
  return losses;
}
