import { readFileSync } from 'node:fs';

/** Bytes of the novel's two volumes: the first is held out, the second was trained on, but for its end. */
export function volumes(): { readonly first: Uint8Array; readonly second: Uint8Array } {
  const text = readFileSync(new URL('../../../apps/bench/data/persuasion.txt', import.meta.url), 'utf8');
  const cut = text.indexOf('\nChapter 13\n') + 1;
  const encode = (part: string) => new TextEncoder().encode(part.trimEnd());
  return { first: encode(text.slice(0, cut)), second: encode(text.slice(cut)) };
}

/** Passages spread evenly over a text. */
export function passages(text: Uint8Array, count: number, length: number): number[][] {
  const stride = Math.floor((text.length - length) / count);
  return Array.from({ length: count }, (_, index) => [...text.subarray(index * stride, index * stride + length)]);
}
