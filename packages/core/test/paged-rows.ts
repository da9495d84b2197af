import { type Gpu, KvCache, type PagedSpec, type Tensor } from '@saccade/core';
import { expect } from 'vitest';

export const [kvHeads, headSize, pageSize] = [2, 16, 16];
/** Bytes of a page in f32. */
export const fullPage = 4 * kvHeads * 2 * pageSize * headSize;

/** Two paged layers. */
export function paged(device: Gpu, options: Partial<PagedSpec> = {}, { batch = 1, capacity = 96 } = {}): KvCache {
  const spec = { kind: 'paged', pageSize, ...options } as const;
  return KvCache.create(device, { layers: [spec, spec], batch, kvHeads, headSize, capacity });
}

/** Rows of a token: every element of a head is its number, so that rows can be told apart; values are negative. */
export function rowsOf(device: Gpu, batch: number, tokens: readonly number[]): [k: Tensor, v: Tensor] {
  const shape = [batch, kvHeads, tokens.length, headSize];
  const data = Float32Array.from({ length: batch * kvHeads * tokens.length * headSize }, (_, at) => {
    const head = Math.floor(at / (tokens.length * headSize)) % kvHeads;
    return (tokens[Math.floor(at / headSize) % tokens.length] as number) + 64 * head;
  });
  return [
    device.tensor(data, shape),
    device.tensor(
      data.map((value) => -value),
      shape,
    ),
  ];
}

/** One pass, in these layers. */
export function append(cache: KvCache, tokens: readonly number[], layers = [0, 1]): void {
  cache.gpu.tidy(() => {
    const [k, v] = rowsOf(cache.gpu, cache.batch, tokens);
    for (const layer of layers) cache.layer(layer).append(k, v);
  });
  cache.advance();
}

export const count = (from: number, to: number) => Array.from({ length: to - from }, (_, index) => from + index);

/** Numbers of the tokens that a layer holds in head 0 of a sequence, and their positions. */
export async function held(
  cache: KvCache,
  layer = 0,
  sequence = 0,
): Promise<{ tokens: number[]; positions: number[] }> {
  const { keys, values, positions, lengths } = cache.layer(layer).padded();
  const [k, v, p, n] = (await cache.gpu.read([keys, values, positions, lengths])) as Float32Array[];
  for (const tensor of [keys, values, positions, lengths]) tensor.dispose();
  const longest = keys.shape[2] as number;
  const heads = [0, 1].map((head) => {
    const own = sequence * kvHeads + head;
    const length = n?.[own] as number;
    const rows = Array.from({ length }, (_, row) => {
      const at = (own * longest + row) * headSize;
      expect(Math.abs((v?.[at] as number) + (k?.[at] as number))).toBeLessThan(2);
      return (k?.[at] as number) - 64 * head;
    });
    return { tokens: rows, positions: Array.from(p ?? []).slice(own * longest, own * longest + length) };
  });
  expect(heads[1]?.positions).toEqual(heads[0]?.positions);
  return heads[0] as { tokens: number[]; positions: number[] };
}
