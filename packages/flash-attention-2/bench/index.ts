export { flashAttention1Entry, flashAttention2Entry } from './entries.ts';
