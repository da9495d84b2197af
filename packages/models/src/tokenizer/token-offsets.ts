import type { Tokenizer } from './types.ts';

/** Characters that a normaliser may take away between two tokens. */
const mostSkipped = 16;

/**
 * For each token the characters [from, to) of the text that it was made from. Tokens of parts of a character have all of it;
 * tokens that are not in the text, such as one that begins it, have none where they stand.
 */
export function tokenOffsets(tokenizer: Tokenizer, ids: readonly number[], text: string): [from: number, to: number][] {
  const stream = tokenizer.decodeStream({ skipSpecialTokens: false });
  const offsets: [number, number][] = [];
  let cursor = 0;
  let pending = 0;
  for (const id of ids) {
    pending++;
    const piece = stream.push(id);
    if (piece === '') continue;
    const range = find(text, piece, cursor);
    for (; pending > 0; pending--) offsets.push([...range]);
    cursor = range[1];
  }
  for (; pending > 0; pending--) offsets.push([cursor, text.length]);
  return offsets;
}

/** Where a token's text stands at or behind the cursor; decoders may put a space before it that the text has not. */
function find(text: string, piece: string, cursor: number): [number, number] {
  for (const candidate of [piece, piece.trimStart()]) {
    if (candidate === '') continue;
    if (text.startsWith(candidate, cursor)) return [cursor, cursor + candidate.length];
    const at = text.slice(cursor, cursor + mostSkipped + candidate.length).indexOf(candidate);
    if (at >= 0) return [cursor + at, cursor + at + candidate.length];
  }
  return [cursor, cursor];
}
