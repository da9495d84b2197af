/**
 * Learned position of each of `count` patches along an edge, where the table was learned on `side` of them: patches are spread
 * over the table by their fraction of the edge, computed in f32 as Idefics3 does, so that rounding falls alike.
 */
export function gridPositions(count: number, side: number): Uint32Array {
  const step = Math.fround(1 / count);
  const last = Math.fround(1 - 1e-6);
  const boundaries = Array.from({ length: side - 1 }, (_, index) => Math.fround((index + 1) / side));
  return Uint32Array.from({ length: count }, (_, index) => {
    const place = Math.min(Math.fround(index * step), last);
    return boundaries.filter((boundary) => boundary <= place).length;
  });
}
