import type { Family } from './family.ts';
import { qwen2 } from './qwen.ts';

/** Dream (Ye et al., 2025): Qwen2.5 trained on to fill in masked tokens, whose logits still tell the token behind. */
export const dream: Family = {
  name: 'dream',
  names: qwen2.names,
  modelType: 'Dream',
  fromHuggingFace: (values) => ({
    ...qwen2.fromHuggingFace(values),
    causal: false,
    maskedDiffusion: { maskId: values.natural('mask_token_id', 151_666), logits: 'next' },
  }),
};
