/**
 * Rotary embedding of heads [B, N, H, D] in plain loops. `position(batch, token)` gives the positions, `frequencies` the
 * radians per position of each pair.
 */
export function ropeReference(
  x: ArrayLike<number>,
  shape: readonly [number, number, number, number],
  options: {
    readonly frequencies: ArrayLike<number>;
    readonly position: (batch: number, token: number) => number;
    readonly layout: 'half' | 'interleaved';
    readonly attentionFactor?: number;
  },
): Float64Array {
  const [batches, tokens, heads, size] = shape;
  const { frequencies, position, layout, attentionFactor = 1 } = options;
  const out = Float64Array.from(x);
  const pairs = frequencies.length;
  for (let batch = 0; batch < batches; batch++) {
    for (let token = 0; token < tokens; token++) {
      for (let head = 0; head < heads; head++) {
        const base = ((batch * tokens + token) * heads + head) * size;
        for (let pair = 0; pair < pairs; pair++) {
          const first = base + (layout === 'half' ? pair : 2 * pair);
          const second = layout === 'half' ? first + pairs : first + 1;
          const angle = position(batch, token) * (frequencies[pair] as number);
          const a = x[first] as number;
          const b = x[second] as number;
          out[first] = (a * Math.cos(angle) - b * Math.sin(angle)) * attentionFactor;
          out[second] = (b * Math.cos(angle) + a * Math.sin(angle)) * attentionFactor;
        }
      }
    }
  }
  return out;
}
