/** A seeded generator of numbers in [0, 1) for test inputs (32-bit integer hash of a counter). */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x9e3779b9) >>> 0;
    let bits = state;
    bits = Math.imul(bits ^ (bits >>> 16), 0x85ebca6b);
    bits = Math.imul(bits ^ (bits >>> 13), 0xc2b2ae35);
    return ((bits ^ (bits >>> 16)) >>> 0) / 2 ** 32;
  };
}

/** `size` numbers uniform in [-scale, scale) as f32; the same for the same seed. Scale is 1 unless given. */
export function randomArray(size: number, seed: number, options: { readonly scale?: number } = {}): Float32Array {
  const next = seededRandom(seed);
  const scale = options.scale ?? 1;
  return Float32Array.from({ length: size }, () => (2 * next() - 1) * scale);
}

/** `size` integers uniform in [0, below); the same for the same seed. */
export function randomIntegers(size: number, seed: number, below: number): Uint32Array {
  const next = seededRandom(seed);
  return Uint32Array.from({ length: size }, () => Math.floor(next() * below));
}
