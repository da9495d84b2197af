export { gatedAttentionEntry } from './entries.ts';
