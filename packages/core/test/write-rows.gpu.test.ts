import { describe, expect, it } from 'vitest';
import {
  blockSizes,
  type Dtype,
  dequantize,
  Gpu,
  quantizedTensor,
  rowBytes,
  ShapeError,
  writeRows,
} from '../src/index.ts';
import { randomArray, sharedGpu } from '../src/testing/index.ts';
import { randomGguf } from './quantized-blocks.ts';

/** The shared device under a small binding limit, so that tensors are split. */
async function splitting(): Promise<Gpu> {
  const { device, capabilities, adapter } = await sharedGpu();
  return new Gpu(device, { ...capabilities, maxStorageBinding: 8192 }, adapter, { poison: true });
}

describe('writeRows', () => {
  it.each(['f32', 'f16', 'q4_1', 'q8_0', 'q6_k'] as const)(
    'fills %s part by part, also over several buffers',
    async (dtype) => {
      const shape = [37, 256];
      for (const gpu of [await sharedGpu(), await splitting()]) {
        const bytes = sourceBytes(dtype, 37 * 256);
        const perRow = rowBytes(dtype, shape);
        const part = gpu.empty(shape, dtype);
        for (const [start, end] of [
          [20, 37],
          [0, 1],
          [1, 20],
        ] as const) {
          writeRows(part, start, bytes.subarray(start * perRow, end * perRow));
        }
        const whole = quantized(dtype) ? quantizedTensor(gpu, dtype, shape, bytes) : gpu.fromBytes(bytes, shape, dtype);
        const [a, b] = quantized(dtype) ? [dequantize(part), dequantize(whole)] : [part.alias(), whole.alias()];
        expect(await a.read()).toEqual(await b.read());
        for (const tensor of [part, whole, a, b]) tensor.dispose();
      }
    },
  );

  it('refuses rows that do not fit, halves of words and views', async () => {
    const gpu = await sharedGpu();
    gpu.tidy(() => {
      const odd = gpu.zeros([4, 3], 'f16');
      expect(() => writeRows(odd, 0, new Uint8Array(7))).toThrow(ShapeError);
      expect(() => writeRows(odd, 3, new Uint8Array(12))).toThrow(/do not fit f16\[4,3\] with rows of 6 bytes/);
      expect(() => writeRows(odd, 1, new Uint8Array(12))).toThrow(/whole 32-bit words/);
      expect(() => writeRows(odd, 0, new Uint8Array(6))).toThrow(/whole 32-bit words/);
      expect(() => writeRows(odd, 2, new Uint8Array(12))).not.toThrow();
      expect(() => writeRows(odd.transpose(), 0, new Uint8Array(8))).toThrow(/view/);
    });
  });
});

type Quantized = 'q4_1' | 'q8_0' | 'q6_k';

function quantized(dtype: Dtype): dtype is Quantized {
  return dtype.startsWith('q');
}

function sourceBytes(dtype: 'f32' | 'f16' | Quantized, elements: number): Uint8Array {
  if (quantized(dtype)) return randomGguf(dtype, elements / blockSizes[dtype].elements, 3);
  const bytes = new Uint8Array(randomArray(elements, 4).buffer);
  // Two half-precision numbers per f32; the exponent's lowest bit is cleared, so that none is infinite or NaN.
  return dtype === 'f32'
    ? bytes
    : bytes.map((byte, at) => (at % 2 === 1 ? byte & 0xbb : byte)).subarray(0, 2 * elements);
}
