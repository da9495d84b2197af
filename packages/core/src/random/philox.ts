/**
 * Philox4x32-10, a counter-based generator (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011): four words
 * are a pure function of a 128-bit counter and a 64-bit key, so any element of a stream is reached at once and in any order.
 */

/** Four 32-bit words. */
export type Words4 = readonly [number, number, number, number];

const multiplierA = 0xd2511f53;
const multiplierB = 0xcd9e8d57;
const keyStepA = 0x9e3779b9;
const keyStepB = 0xbb67ae85;
const rounds = 10;

/** Upper 32 bits of the product of two 32-bit words. */
function multiplyHigh(a: number, b: number): number {
  const aLow = a & 0xffff;
  const aHigh = a >>> 16;
  const bLow = b & 0xffff;
  const bHigh = b >>> 16;
  const middle = aHigh * bLow + ((aLow * bLow) >>> 16);
  const carry = (middle % 65536) + aLow * bHigh;
  return aHigh * bHigh + Math.floor(middle / 65536) + Math.floor(carry / 65536);
}

/** The four words at a counter, under a key. All words unsigned. */
export function philox(counter: Words4, key: readonly [number, number]): Words4 {
  let [a, b, c, d] = counter;
  let [keyA, keyB] = key;
  for (let round = 0; round < rounds; round++) {
    const highA = multiplyHigh(multiplierA, a);
    const lowA = Math.imul(multiplierA, a) >>> 0;
    const highB = multiplyHigh(multiplierB, c);
    const lowB = Math.imul(multiplierB, c) >>> 0;
    [a, b, c, d] = [(highB ^ b ^ keyA) >>> 0, lowB, (highA ^ d ^ keyB) >>> 0, lowA];
    keyA = (keyA + keyStepA) >>> 0;
    keyB = (keyB + keyStepB) >>> 0;
  }
  return [a, b, c, d];
}

const word = (value: number) => `0x${value.toString(16)}u`;

/** Declares `multiply_wide(a, b) -> vec2u` in WGSL: the 64-bit product of two words as (low, high), by 16-bit parts. */
export const multiplyWideFunction = `
fn multiply_wide(a: u32, b: u32) -> vec2u {
  let a_low = a & 0xffffu;
  let a_high = a >> 16u;
  let b_low = b & 0xffffu;
  let b_high = b >> 16u;
  let middle = a_high * b_low + ((a_low * b_low) >> 16u);
  let carry = (middle & 0xffffu) + a_low * b_high;
  return vec2u(a * b, a_high * b_high + (middle >> 16u) + (carry >> 16u));
}`;

/** Declares `philox(counter: vec4u, key: vec2u) -> vec4u` in WGSL, bit-equal to {@link philox}. */
export const philoxFunction = `${multiplyWideFunction}
fn philox(counter: vec4u, key: vec2u) -> vec4u {
  var state = counter;
  var round_key = key;
  for (var i = 0u; i < ${rounds}u; i++) {
    let a = multiply_wide(${word(multiplierA)}, state.x);
    let b = multiply_wide(${word(multiplierB)}, state.z);
    state = vec4u(b.y ^ state.y ^ round_key.x, b.x, a.y ^ state.w ^ round_key.y, a.x);
    round_key += vec2u(${word(keyStepA)}, ${word(keyStepB)});
  }
  return state;
}`;
