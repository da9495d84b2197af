import { argmax, type Tensor } from '@saccade/core';
import type { LanguageModel } from '@saccade/models';

/** The next token that the model would give if it stopped after each layer. */
export async function logitLens(model: LanguageModel, prompt: string): Promise<string[]> {
  const { gpu, tokenizer } = model;
  const best: Tensor[] = [];
  const { hidden } = model.forward(model.encodePrompt(prompt), {
    logits: 'none',
    observe: {
      'blocks.*.residual.post': {
        positions: [-1],
        callback: (residual) => best.push(gpu.keep(argmax(model.unembed(residual)))),
      },
    },
  });
  hidden.dispose();
  const ids = await gpu.read(best);
  for (const tensor of best) tensor.dispose();
  return ids.map(([id]) => tokenizer.decode([id as number]));
}
