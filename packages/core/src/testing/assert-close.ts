/** How far `actual` may be from `expected`: `|actual - expected| <= absolute + relative * |expected|`. */
export interface Tolerance {
  /** Default 0. */
  readonly absolute?: number;
  /** Default 0. */
  readonly relative?: number;
  /** What is compared, for the message. */
  readonly name?: string;
}

/**
 * Compares numbers element by element. NaN never passes, not even against NaN; infinities must be equal.
 *
 * @throws Error that names the worst element, both values, the tolerance there, and how many elements are off.
 */
export function assertClose(actual: ArrayLike<number>, expected: ArrayLike<number>, tolerance: Tolerance = {}): void {
  const { absolute = 0, relative = 0, name = 'values' } = tolerance;
  if (actual.length !== expected.length) {
    throw new Error(`${name}: ${actual.length} elements, expected ${expected.length}.`);
  }
  let failures = 0;
  let worst = -1;
  let worstExcess = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < expected.length; i++) {
    const a = actual[i] as number;
    const e = expected[i] as number;
    const excess = a === e ? -Infinity : Math.abs(a - e) - (absolute + relative * Math.abs(e));
    if (excess <= 0) continue;
    failures++;
    // NaN (also infinity minus infinity) counts as infinitely far.
    const size = Number.isNaN(excess) ? Number.POSITIVE_INFINITY : excess;
    if (size > worstExcess) {
      worstExcess = size;
      worst = i;
    }
  }
  if (failures === 0) return;
  const allowed = absolute + relative * Math.abs(expected[worst] as number);
  throw new Error(
    `${name}: ${failures} of ${expected.length} elements are off. Worst at ${worst}: got ${actual[worst]}, ` +
      `expected ${expected[worst]} within ${allowed} (absolute ${absolute}, relative ${relative}).`,
  );
}
