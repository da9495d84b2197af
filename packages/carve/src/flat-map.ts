const tolerance = 1e-6;

/**
 * Whether a fused map says nothing: all its pixels are alike, or it is what equal attention in both passes gives, so that rounding
 * alone would choose.
 *
 * @param map f32 [height * width]
 * @param unchanged The map that general attention divided by itself gives; lambda bends it where attention is small.
 */
export function isFlat(map: ArrayLike<number>, unchanged?: ArrayLike<number>): boolean {
  let [smallest, largest, difference] = [Infinity, -Infinity, 0];
  for (let pixel = 0; pixel < map.length; pixel++) {
    const value = map[pixel] as number;
    smallest = Math.min(smallest, value);
    largest = Math.max(largest, value);
    if (unchanged) difference = Math.max(difference, Math.abs(value - (unchanged[pixel] as number)));
  }
  return largest - smallest <= tolerance * largest || (unchanged !== undefined && difference <= tolerance * largest);
}
