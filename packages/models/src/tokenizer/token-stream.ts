import type { TokenStream } from './types.ts';

const replacement = '\ufffd';

/**
 * Decodes ids one at a time, whatever the tokenizer's kind: a window of the last ids is decoded again at each step, and what
 * its text gained is emitted. A replacement character at the end may be the beginning of a character and is held back.
 *
 * @param decode Decodes a list of ids; the text of a prefix that ends with a whole character must be a prefix of the text.
 */
export function tokenStream(decode: (ids: readonly number[]) => string): TokenStream {
  // Ids whose text is complete, then ids whose text is not. The former keep the text's context, such as a leading space.
  let settled: number[] = [];
  let pending: number[] = [];
  let emitted = 0;

  const advance = (text: string): string => {
    const gained = text.slice(emitted);
    emitted = text.length;
    return gained;
  };
  return {
    push(id) {
      pending.push(id);
      const text = decode([...settled, ...pending]);
      if (text.endsWith(replacement)) return advance(text.slice(0, -1));
      const gained = advance(text);
      // Ids without text, such as special ones that are skipped, give no context to the next; but at the beginning they may
      // be a space that the decoder takes away.
      if (gained === '' && settled.length === 0) return '';
      if (gained !== '') settled = pending;
      pending = [];
      emitted = decode(settled).length;
      return gained;
    },
    end() {
      const gained = advance(decode([...settled, ...pending]));
      settled = [];
      pending = [];
      emitted = 0;
      return gained;
    },
  };
}
