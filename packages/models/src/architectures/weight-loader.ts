import { cast, concatenate, type Gpu, scale, type Tensor } from '@saccade/core';
import { type WeightFile, WeightFileError, type WeightInfo } from '../weights/types.ts';
import { concatenateBytes, uploadBytes, uploadWeights } from '../weights/upload-weights.ts';

/** How rows are reordered as they are read. */
export interface RowOrder {
  /**
   * Parts that alternate in the file, once per head or group of heads, and follow one another on the GPU: rows of each in one such
   * group.
   */
  readonly parts: readonly number[];
}

/** How a matrix stands in the file. */
export interface MatrixLayout {
  /** [columns, rows] instead of [rows, columns]. */
  readonly transposed?: boolean;
  readonly rowOrder?: RowOrder | undefined;
}

/** Uploads the weights of a file with types that kernels read (see `loadableWeights`), and knows what it made. */
export class WeightLoader {
  readonly tensors: Tensor[] = [];
  readonly #gpu: Gpu;
  readonly #file: WeightFile;

  constructor(gpu: Gpu, file: WeightFile) {
    this.#gpu = gpu;
    this.#file = file;
  }

  has(name: string): boolean {
    return this.#file.has(name);
  }

  /** Element type; tensors of different ones cannot be joined. */
  dtype(name: string): WeightInfo['dtype'] {
    return this.#file.info(name).dtype;
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
        const vectors = parts.map(({ info, bytes }) => uploadBytes(this.#gpu, info, bytes, info.shape));
        const joint =
          vectors.length === 1 ? (vectors[0] as Tensor) : concatenate(vectors.map((part) => cast(part, 'f32')));
        return offset === 0 ? joint : scale(joint, 1, offset);
      }),
    );
  }

  /** Matrices of the same width and element type as one, row after row; part by part where the file has them as they are needed. */
  async matrix(
    names: readonly string[],
    rows: readonly number[],
    columns: number,
    { transposed = false, rowOrder }: MatrixLayout = {},
  ): Promise<Tensor> {
    if (!transposed && !rowOrder) return this.#own(await uploadWeights(this.#gpu, this.#file, names, rows, columns));
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
    return this.#own(uploadBytes(this.#gpu, infos[0] as WeightInfo, concatenateBytes(parts), shape));
  }

  /**
   * A tensor of any number of axes, read whole.
   * @param as Another shape of as many elements. Default: its own.
   */
  async tensor(name: string, shape: readonly number[], as = shape): Promise<Tensor> {
    const info = this.#check(name, shape);
    return this.#own(uploadBytes(this.#gpu, info, await this.#file.read(name), as));
  }

  /** Rows of a matrix as the file has it. @throws WeightFileError `wrong-shape` where it is none */
  rows(name: string): number {
    const { shape } = this.#file.info(name);
    if (shape.length === 2) return shape[0] as number;
    throw new WeightFileError('wrong-shape', `${name} has the shape [${shape}]; it must be a matrix.`);
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
}

/** Bytes of a [rows, columns] matrix as [columns, rows]. */
function transpose(info: WeightInfo, bytes: Uint8Array): Uint8Array {
  const [rows, columns] = info.shape as [number, number];
  if (info.dtype !== 'f32' && info.dtype !== 'f16' && info.dtype !== 'bf16') {
    throw new WeightFileError(
      'unsupported',
      `${info.name} is ${info.dtype} and would have to be transposed; load it with dtype: 'f16'.`,
    );
  }
  const Elements = info.dtype === 'f32' ? Uint32Array : Uint16Array;
  const from = new Elements(bytes.buffer as ArrayBuffer, bytes.byteOffset, rows * columns);
  const to = new Elements(rows * columns);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) to[column * rows + row] = from[row * columns + column] as number;
  }
  return new Uint8Array(to.buffer);
}

/** Rows [groups, parts, rows of the part] as [parts, groups, rows of the part]. */
function reorderRows(bytes: Uint8Array, rowBytes: number, { parts }: RowOrder): Uint8Array {
  const groupBytes = rowBytes * parts.reduce((sum, rows) => sum + rows, 0);
  const out = new Uint8Array(bytes.byteLength);
  let [to, start] = [0, 0];
  for (const rows of parts) {
    const run = rows * rowBytes;
    for (let from = start; from < bytes.byteLength; from += groupBytes) {
      out.set(bytes.subarray(from, from + run), to);
      to += run;
    }
    start += run;
  }
  return out;
}
