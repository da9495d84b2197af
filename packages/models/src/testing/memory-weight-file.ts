import { type WeightFile, WeightFileError } from '../weights/types.ts';

/** A weight file that lives in memory, f32. */
export function memoryWeightFile(
  tensors: ReadonlyMap<string, { readonly shape: readonly number[]; readonly data: Float32Array }>,
): WeightFile {
  const find = (name: string) => {
    const tensor = tensors.get(name);
    if (!tensor) throw new WeightFileError('not-found', `There is no tensor ${name}.`);
    return tensor;
  };
  return {
    format: 'safetensors',
    metadata: new Map(),
    tensorNames: () => [...tensors.keys()],
    has: (name) => tensors.has(name),
    info: (name) => {
      const { shape, data } = find(name);
      return { name, storedName: name, shape: [...shape], dtype: 'f32', byteLength: data.byteLength };
    },
    async read(name, rows) {
      const { shape, data } = find(name);
      const rowElements = data.length / (shape[0] ?? 1);
      const part = rows ? data.slice(rows.start * rowElements, rows.end * rowElements) : data.slice();
      return new Uint8Array(part.buffer as ArrayBuffer);
    },
    close: async () => undefined,
  };
}
