export { attentionDecode } from './attention/decode.ts';
export { flashAttention2Length } from './flash-attention-2/length.ts';
export { hylraPolicy } from './hylra/policy.ts';
export { languageDecode } from './language/decode.ts';
export { languageMemory } from './language/memory.ts';
export { languageNeedle } from './language/needle.ts';
export { languagePerplexity } from './language/perplexity.ts';
export { tidalDecodeReselection } from './tidaldecode/reselection.ts';
