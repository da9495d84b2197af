import { bert } from './bert.ts';
import { dream } from './dream.ts';
import type { Family } from './family.ts';
import { gemma3 } from './gemma3.ts';
import { gptNeoX } from './gpt-neox.ts';
import { gpt2 } from './gpt2.ts';
import { llada } from './llada.ts';
import { llama } from './llama.ts';
import { qwen2, qwen3 } from './qwen.ts';

/** Every supported architecture. */
export const families: readonly Family[] = [llama, gemma3, qwen2, qwen3, gptNeoX, gpt2, bert, llada, dream];

/** The family that a configuration was read by. */
export function familyOf(architecture: string): Family {
  return families.find((family) => family.name === architecture) as Family;
}
