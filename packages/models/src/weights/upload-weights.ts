import { type Dtype, type Gpu, isBlockType, isQuantized, rowBytes, type Tensor, writeRows } from '@saccade/core';
import type { WeightFile, WeightInfo } from './types.ts';
import { WeightFileError } from './weight-file-error.ts';

/** Most bytes of one read: what stands between file and GPU stays small, whatever the size of the tensor. */
const partBytes = 1 << 22;

/**
 * Uploads tensors of one type as one, row after row: matrices that read the same input take one launch then. They are read and
 * written part by part.
 *
 * @param file As `loadableWeights` gives it.
 * @param rows Rows that each tensor must have.
 * @param columns Columns of each; without, they are vectors.
 * @throws WeightFileError `wrong-shape`, `mixed-types`, `unsupported-type`, and as `file.read`
 */
export async function uploadWeights(
  gpu: Gpu,
  file: WeightFile,
  names: readonly string[],
  rows: readonly number[],
  columns?: number,
): Promise<Tensor> {
  const infos = names.map((name) => file.info(name));
  for (const [index, info] of infos.entries()) {
    checkShape(info, columns === undefined ? [rows[index]] : [rows[index], columns]);
  }
  const dtype = commonDtype(infos);
  const total = rows.reduce((sum, count) => sum + count, 0);
  const tensor = gpu.empty(columns === undefined ? [total] : [total, columns], dtype);
  try {
    const bytes = infos.reduce((sum, info) => sum + info.byteLength, 0);
    if (bytes <= partBytes) {
      writeRows(tensor, 0, concatenateBytes(await Promise.all(names.map((name) => file.read(name)))));
      if (bytes > partBytes / 8) await settle(gpu);
      return tensor;
    }
    let first = 0;
    for (const info of infos) {
      await uploadRows(tensor, first, file, info);
      first += info.shape[0] as number;
    }
  } catch (error) {
    tensor.dispose();
    throw error;
  }
  return tensor;
}

/**
 * Uploads bytes of a tensor's type under a shape of their own, for weights that are rearranged on the host.
 * @throws WeightFileError `unsupported-type`
 */
export function uploadBytes(gpu: Gpu, info: WeightInfo, bytes: Uint8Array, shape: readonly number[]): Tensor {
  const tensor = gpu.empty(shape, commonDtype([info]));
  writeRows(tensor, 0, bytes);
  return tensor;
}

/** The queue keeps a copy of what is written until the GPU has taken it: waiting bounds these copies. */
function settle(gpu: Gpu): Promise<void> {
  return gpu.synchronize();
}

/** Writes a tensor of the file into rows of a tensor of the GPU, from row `first` on. */
async function uploadRows(target: Tensor, first: number, file: WeightFile, info: WeightInfo): Promise<void> {
  const [rows = 1] = info.shape;
  const perRow = rowBytes(target.dtype, info.shape);
  // A multiple of 32 rows is whole words and, for vectors, whole blocks.
  const perPart = Math.max(Math.floor(partBytes / perRow / 32), 1) * 32;
  for (let start = 0; start < rows; start += perPart) {
    const end = Math.min(start + perPart, rows);
    writeRows(target, first + start, await file.read(info.name, { start, end }));
    await settle(target.gpu);
  }
}

function checkShape({ name, shape }: WeightInfo, expected: readonly (number | undefined)[]): void {
  if (shape.join() === expected.join()) return;
  throw new WeightFileError(
    'wrong-shape',
    `${name} has the shape [${shape}]; the configuration asks for [${expected}].`,
  );
}

function commonDtype(infos: readonly WeightInfo[]): Dtype {
  const [first] = infos as [WeightInfo];
  for (const { name, dtype } of infos) {
    if (dtype !== first.dtype) {
      throw new WeightFileError('mixed-types', `${first.name} is ${first.dtype}, but ${name} is ${dtype}.`);
    }
    if (isBlockType(dtype) && !isQuantized(dtype)) {
      throw new WeightFileError('unsupported-type', `${name} is ${dtype}, which no kernel reads; see loadableWeights.`);
    }
  }
  return first.dtype as Dtype;
}

export function concatenateBytes(parts: readonly Uint8Array[]): Uint8Array {
  const [first] = parts;
  if (parts.length === 1 && first) return first;
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.byteLength, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.byteLength;
  }
  return out;
}
