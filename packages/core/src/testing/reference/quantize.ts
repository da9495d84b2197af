import type { NumberFormat } from '../../attention/paged/number-format.ts';
import { floatToHalfBits, halfBitsToFloat } from '../../tensor/dtype.ts';

/** Rows as a quantized page holds them. */
export interface QuantizedReference {
  /** Integers, [rows, D]. */
  readonly codes: Uint16Array;
  /** The numbers that they stand for. */
  readonly values: Float64Array;
  /** The same by the high bits alone. */
  readonly high: Float64Array;
  /** Step of each number. */
  readonly steps: Float64Array;
}

/** Quantizes the rows [rows, D] of one head and page in plain f64 loops; the rounding is that of `LayerCache`'s pages. */
export function quantizeReference(x: ArrayLike<number>, headSize: number, format: NumberFormat): QuantizedReference {
  const { bits, lowBits = 0, per, symmetric = false } = format;
  const size = x.length;
  const levels = 2 ** bits - 1;
  const norms = new Float64Array(headSize).fill(1);
  if (per === 'channelSeparable') {
    for (let d = 0; d < headSize; d++) {
      let most = 0;
      for (let at = d; at < size; at += headSize) most = Math.max(most, Math.abs(x[at] as number));
      const root = halfBitsToFloat(floatToHalfBits(Math.sqrt(most)));
      norms[d] = root > 0 ? root : 1;
    }
  }
  const divided = Float64Array.from({ length: size }, (_, at) => (x[at] as number) / (norms[at % headSize] as number));
  const groupOf = (at: number) => (per === 'channel' ? at % headSize : Math.floor(at / headSize));
  const ranges = new Map<number, [low: number, high: number]>();
  for (const [at, value] of divided.entries()) {
    const [low, high] = ranges.get(groupOf(at)) ?? [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
    ranges.set(groupOf(at), [Math.min(low, value), Math.max(high, value)]);
  }
  const codes = new Uint16Array(size);
  const values = new Float64Array(size);
  const highValues = new Float64Array(size);
  const steps = new Float64Array(size);
  for (const [at, value] of divided.entries()) {
    const [low, high] = ranges.get(groupOf(at)) as [number, number];
    const least = symmetric ? 0 : halfBelow(low);
    const step = symmetric
      ? halfAbove((Math.max(Math.abs(low), Math.abs(high)) / (2 ** (bits - 1) - 1)) * 0.999999)
      : halfAbove(((high - least) / levels) * 0.999999);
    const start = symmetric ? -(2 ** (bits - 1)) * step : least;
    const norm = norms[at % headSize] as number;
    const code = step > 0 ? Math.min(Math.max(roundHalfToEven((value - start) / step), 0), levels) : 0;
    codes[at] = code;
    values[at] = (start + step * code) * norm;
    highValues[at] = (start + step * ((code >> lowBits) << lowBits)) * norm;
    steps[at] = step * norm;
  }
  return { codes, values, high: highValues, steps };
}

/** The largest half-precision number that is not above. */
function halfBelow(value: number): number {
  const bits = floatToHalfBits(Math.min(Math.max(value, -65504), 65504));
  if (halfBitsToFloat(bits) <= value) return halfBitsToFloat(bits);
  return halfBitsToFloat(bits & 0x8000 ? bits + 1 : bits === 0 ? 0x8001 : bits - 1);
}

function halfAbove(value: number): number {
  return -halfBelow(-value);
}

function roundHalfToEven(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  if (rest !== 0.5) return Math.round(value);
  return floor % 2 === 0 ? floor : floor + 1;
}
