import { cast, concatenate, dequantize, type Gpu, quantizedTensor, scale, type Tensor } from '@saccade/core';
import { type WeightFile, WeightFileError, type WeightInfo } from '../weights/types.ts';

/** Element type of matrices on the GPU: as the file has them, or converted. */
export type WeightPrecision = 'file' | 'f32' | 'f16';

/** How rows are reordered as they are read. */
export interface RowOrder {
  /** Groups of rows that alternate in the file (one of each per head) and follow one another on the GPU. */
  readonly alternating: number;
  /** Rows of one group for one head. */
  readonly rows: number;
}

/** How a matrix stands in the file. */
export interface MatrixLayout {
  /** [columns, rows] instead of [rows, columns]. */
  readonly transposed?: boolean;
  readonly rowOrder?: RowOrder | undefined;
}

/** Uploads weights tensor by tensor, so that the host holds no more than one at a time, and knows what it made. */
export class WeightLoader {
  readonly tensors: Tensor[] = [];
  readonly #gpu: Gpu;
  readonly #file: WeightFile;
  readonly #precision: WeightPrecision;

  constructor(gpu: Gpu, file: WeightFile, precision: WeightPrecision) {
    this.#gpu = gpu;
    this.#file = file;
    this.#precision = precision;
  }

  has(name: string): boolean {
    return this.#file.has(name);
  }

  /** Element types of tensors that differ cannot be joined. */
  alike(names: readonly string[]): boolean {
    return new Set(names.map((name) => this.#file.info(name).dtype)).size === 1;
  }

  /** Vectors one after another, in f32 where there are several or where `offset` is added. */
  async vector(names: readonly string[], sizes: readonly number[], offset = 0, rowOrder?: RowOrder): Promise<Tensor> {
    const parts = await Promise.all(
      names.map(async (name, index) => {
        const info = this.#check(name, [sizes[index] as number]);
        const bytes = await this.#file.read(name);
        return {
          info,
          bytes: rowOrder ? reorderRows(bytes, info.byteLength / (sizes[index] as number), rowOrder) : bytes,
        };
      }),
    );
    return this.#own(
      this.#gpu.tidy(() => {
        const vectors = parts.map(({ info, bytes }) => this.#upload(info, bytes, info.shape));
        const joint =
          vectors.length === 1 ? (vectors[0] as Tensor) : concatenate(vectors.map((part) => cast(part, 'f32')));
        return offset === 0 ? joint : scale(joint, 1, offset);
      }),
    );
  }

  /** Matrices of the same width and element type as one, row after row. */
  async matrix(
    names: readonly string[],
    rows: readonly number[],
    columns: number,
    { transposed = false, rowOrder }: MatrixLayout = {},
  ): Promise<Tensor> {
    const infos = names.map((name, index) => {
      const shape = [rows[index] as number, columns];
      return this.#check(name, transposed ? shape.reverse() : shape);
    });
    const parts = await Promise.all(
      infos.map(async (info, index) => {
        let bytes: Uint8Array = await this.#file.read(info.name);
        if (transposed) bytes = transpose(info, bytes);
        return rowOrder ? reorderRows(bytes, info.byteLength / (rows[index] as number), rowOrder) : bytes;
      }),
    );
    const shape = [rows.reduce((sum, count) => sum + count, 0), columns];
    return this.#own(
      this.#gpu.tidy(() => this.#convert(this.#upload(infos[0] as WeightInfo, concatenateBytes(parts), shape))),
    );
  }

  /** Frees everything that was loaded. */
  dispose(): void {
    for (const tensor of this.tensors) tensor.dispose();
  }

  #own(tensor: Tensor): Tensor {
    this.tensors.push(this.#gpu.keep(tensor));
    return tensor;
  }

  #check(name: string, expected: readonly number[]): WeightInfo {
    const info = this.#file.info(name);
    if (info.shape.join() === expected.join()) return info;
    throw new WeightFileError(
      'wrong-shape',
      `${info.name} has the shape [${info.shape}]; the configuration asks for [${expected}].`,
    );
  }

  #upload({ dtype }: WeightInfo, bytes: Uint8Array, shape: readonly number[]): Tensor {
    if (dtype === 'q4_0' || dtype === 'q4_1' || dtype === 'q8_0')
      return quantizedTensor(this.#gpu, dtype, shape, bytes);
    return this.#gpu.fromBytes(bytes, shape, dtype);
  }

  #convert(tensor: Tensor): Tensor {
    if (this.#precision === 'file' || tensor.dtype === this.#precision) return tensor;
    const plain = tensor.dtype === 'f32' || tensor.dtype === 'f16' || tensor.dtype === 'bf16';
    return cast(plain ? tensor : dequantize(tensor), this.#precision);
  }
}

/** Bytes of a [rows, columns] matrix as [columns, rows]. */
function transpose(info: WeightInfo, bytes: Uint8Array): Uint8Array {
  const [rows, columns] = info.shape as [number, number];
  if (info.dtype !== 'f32' && info.dtype !== 'f16' && info.dtype !== 'bf16') {
    throw new WeightFileError('unsupported', `${info.name} is ${info.dtype} and would have to be transposed.`);
  }
  const Elements = info.dtype === 'f32' ? Uint32Array : Uint16Array;
  const from = new Elements(bytes.buffer as ArrayBuffer, bytes.byteOffset, rows * columns);
  const to = new Elements(rows * columns);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) to[column * rows + row] = from[row * columns + column] as number;
  }
  return new Uint8Array(to.buffer);
}

/** Rows [heads, groups, rows] as [groups, heads, rows]. */
function reorderRows(bytes: Uint8Array, rowBytes: number, { alternating, rows }: RowOrder): Uint8Array {
  const run = rows * rowBytes;
  const heads = bytes.byteLength / (alternating * run);
  const out = new Uint8Array(bytes.byteLength);
  for (let head = 0; head < heads; head++) {
    for (let group = 0; group < alternating; group++) {
      const from = (head * alternating + group) * run;
      out.set(bytes.subarray(from, from + run), (group * heads + head) * run);
    }
  }
  return out;
}

function concatenateBytes(parts: readonly Uint8Array[]): Uint8Array {
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
