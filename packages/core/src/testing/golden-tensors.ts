/** A tensor of a golden file. */
export interface GoldenTensor {
  readonly shape: readonly number[];
  readonly data: Float32Array | Int32Array | Uint8Array;
}

const arrays = { F32: Float32Array, I32: Int32Array, U8: Uint8Array } as const;

/** Reads a safetensors file that an oracle made; the result throws for a tensor name that the file lacks. */
export function parseGoldenTensors(file: Uint8Array): (tensor: string) => GoldenTensor {
  const bytes = new Uint8Array(file).buffer;
  const headerBytes = Number(new DataView(bytes).getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(bytes, 8, headerBytes))) as Record<
    string,
    { dtype: keyof typeof arrays; shape: number[]; data_offsets: [number, number] }
  >;
  return (tensor) => {
    const entry = header[tensor];
    if (!entry) throw new Error(`The golden file has no ${tensor}.`);
    const [start, end] = entry.data_offsets.map((offset) => offset + 8 + headerBytes) as [number, number];
    return { shape: entry.shape, data: new arrays[entry.dtype](bytes.slice(start, end)) };
  };
}
