import { ArgumentError, type BlockType, isBlockType, isQuantized } from '@saccade/core';
import { convertWeights } from './convert-weights.ts';
import type { WeightDtype, WeightFile, WeightInfo } from './types.ts';
import { WeightFileError } from './weight-file-error.ts';
import { byteRange, weightBytes } from './weight-table.ts';

/**
 * Element types of a model's weights in GPU memory:
 * - `auto` (default): as the file has them. Quantized blocks that no kernel reads become f16.
 * - `f32`: everything f32, exact for every type of file.
 * - `f16`: matrices f16, rounded to nearest; vectors (norms, biases) f32.
 */
export type LoadDtype = 'auto' | 'f32' | 'f16';

const loadDtypes: readonly LoadDtype[] = ['auto', 'f32', 'f16'];

/**
 * A weight file whose tensors have types that the GPU's kernels read: others are converted as they are read, part by part where they
 * are read so.
 *
 * @param onNotice Called once, with a line for people, where quantized blocks are expanded: which types, and what it costs.
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
  const notice = expansionNotice(file, dtype);
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
  return shape.length < 2 ? 'f32' : 'f16';
}

/** A line about quantized tensors that are expanded; undefined where there are none. */
function expansionNotice(file: WeightFile, choice: LoadDtype): string | undefined {
  // Safetensors files hold no blocks.
  if (file.format !== 'gguf') return undefined;
  const counts = new Map<BlockType, number>();
  const targets = new Set<string>();
  let before = 0;
  let after = 0;
  for (const stored of file.tensorNames().map((name) => file.info(name))) {
    const loaded = loadedInfo(stored, choice);
    if (!isBlockType(stored.dtype) || loaded.dtype === stored.dtype) continue;
    counts.set(stored.dtype, (counts.get(stored.dtype) ?? 0) + 1);
    targets.add(loaded.dtype);
    before += stored.byteLength;
    after += loaded.byteLength;
  }
  if (counts.size === 0) return undefined;
  const types = [...counts].map(([type, count]) => `${count} of ${type.toUpperCase()}`).join(', ');
  const memory = `${megabytes(after)} of GPU memory instead of ${megabytes(before)}`;
  return `quantized tensors (${types}) are expanded to ${[...targets].join(' and ')}: ${memory}`;
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0)} MB`;
}
