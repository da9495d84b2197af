import type { QuantizedDtype } from '../../tensor/dtype.ts';

/** The numbers of GGUF blocks, from the format's definition, in f64 (exact: no product needs more than 19 bits). */
export function dequantizeReference(dtype: QuantizedDtype, gguf: Uint8Array): Float64Array {
  const view = new DataView(gguf.buffer, gguf.byteOffset, gguf.byteLength);
  const blockBytes = { q4_0: 18, q4_1: 20, q8_0: 34 }[dtype];
  const blocks = gguf.byteLength / blockBytes;
  const out = new Float64Array(blocks * 32);
  for (let block = 0; block < blocks; block++) {
    const at = block * blockBytes;
    const scale = half(view.getUint16(at, true));
    if (dtype === 'q8_0') {
      for (let i = 0; i < 32; i++) out[block * 32 + i] = scale * view.getInt8(at + 2 + i);
      continue;
    }
    const head = dtype === 'q4_1' ? 4 : 2;
    const value = (quant: number) =>
      dtype === 'q4_1' ? scale * quant + half(view.getUint16(at + 2, true)) : scale * (quant - 8);
    for (let i = 0; i < 16; i++) {
      const byte = gguf[at + head + i] as number;
      out[block * 32 + i] = value(byte & 15);
      out[block * 32 + 16 + i] = value(byte >> 4);
    }
  }
  return out;
}

function half(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  return sign * (exponent === 0 ? fraction * 2 ** -24 : (1 + fraction / 1024) * 2 ** (exponent - 15));
}
