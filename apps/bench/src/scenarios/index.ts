export { attentionDecode } from './attention/decode.ts';
export { languageDecode } from './language/decode.ts';
export { languageNeedle } from './language/needle.ts';
export { languagePerplexity } from './language/perplexity.ts';
export { tidalDecodeReselection } from './tidaldecode/reselection.ts';
