import { ArgumentError, type BlockType, isBlockType, isQuantized, recodeBlocks, recodedType } from '@saccade/core';
import { convertWeights } from './convert-weights.ts';
import type { WeightDtype, WeightFile, WeightInfo } from './types.ts';
import { WeightFileError } from './weight-file-error.ts';
import { byteRange, weightBytes } from './weight-table.ts';

/**
 * Element types of a model's weights in GPU memory:
 * - `auto` (default): as the file has them. Quantized blocks that no kernel reads become another quantized type with the same
 *   numbers where there is one (IQ4_NL: q8_0, Q3_K: q6_k), else f16 (Q2_K).
 * - `f32`: everything f32, exact for every type of file.
 * - `f16`: matrices f16, rounded to nearest; vectors (norms, biases) f32.
 */
export type LoadDtype = 'auto' | 'f32' | 'f16';

const loadDtypes: readonly LoadDtype[] = ['auto', 'f32', 'f16'];

/**
 * A weight file whose tensors have types that the GPU's kernels read: others are converted as they are read, part by part where they
 * are read so.
 *
 * @param onNotice Called once, with a line for people, where quantized blocks are converted: which types, and what it costs.
 * @throws ArgumentError for another `dtype`. Reading throws WeightFileError `out-of-range` where a number is too large for f16.
 */
export function loadableWeights(
  file: WeightFile,
  {
    dtype = 'auto',
    onNotice,
  }: { readonly dtype?: LoadDtype | undefined; readonly onNotice?: ((line: string) => void) | undefined },
): WeightFile {
  if (!loadDtypes.includes(dtype)) throw new ArgumentError('dtype', dtype, loadDtypes.join(', '));
  const notice = conversionNotice(file, dtype);
  if (notice) onNotice?.(notice);
  return {
    format: file.format,
    metadata: file.metadata,
    tensorNames: () => file.tensorNames(),
    has: (name) => file.has(name),
    info: (name) => loadedInfo(file.info(name), dtype),
    async read(name, rows) {
      const stored = file.info(name);
      const loaded = loadedInfo(stored, dtype);
      if (rows) byteRange(loaded, rows);
      const bytes = await file.read(name, rows);
      if (loaded.dtype === stored.dtype) return bytes;
      if (isBlockType(loaded.dtype)) return recodeBlocks(stored.dtype as BlockType, bytes);
      return convertWeights(bytes, stored, loaded.dtype === 'f32' ? 'f32' : 'f16');
    },
    close: () => file.close(),
  };
}

/** A tensor as it is loaded. */
function loadedInfo(stored: WeightInfo, choice: LoadDtype): WeightInfo {
  const dtype = loadedDtype(stored, choice);
  if (dtype === stored.dtype) return stored;
  const byteLength = weightBytes(dtype, stored.shape);
  // The shape was checked when the file was opened; only its expansion can be more than a number counts.
  if (byteLength === undefined) throw new WeightFileError('unsupported', `${stored.name} is too large as ${dtype}.`);
  return { ...stored, dtype, byteLength };
}

function loadedDtype({ dtype, shape }: WeightInfo, choice: LoadDtype): WeightDtype {
  if (choice === 'f32') return 'f32';
  if (choice === 'auto' && (!isBlockType(dtype) || isQuantized(dtype))) return dtype;
  if (shape.length < 2) return 'f32';
  return (choice === 'auto' && isBlockType(dtype) ? recodedType(dtype) : undefined) ?? 'f16';
}

/** A line about quantized tensors that become something else; undefined where there are none. */
function conversionNotice(file: WeightFile, choice: LoadDtype): string | undefined {
  // Safetensors files hold no blocks.
  if (file.format !== 'gguf') return undefined;
  const counts = new Map<string, number>();
  let before = 0;
  let after = 0;
  for (const stored of file.tensorNames().map((name) => file.info(name))) {
    const loaded = loadedInfo(stored, choice);
    if (!isBlockType(stored.dtype) || loaded.dtype === stored.dtype) continue;
    const conversion = `of ${stored.dtype.toUpperCase()} to ${loaded.dtype}`;
    counts.set(conversion, (counts.get(conversion) ?? 0) + 1);
    before += stored.byteLength;
    after += loaded.byteLength;
  }
  if (counts.size === 0) return undefined;
  const conversions = [...counts].map(([conversion, count]) => `${count} ${conversion}`).join(', ');
  return `quantized tensors are converted (${conversions}): ${megabytes(after)} of GPU memory instead of ${megabytes(before)}`;
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0)} MB`;
}
