import { attentionReference, convolutionReference, matmulReference } from '@saccade/core/testing';
import {
  attentionInputs,
  blockElements,
  type ConvolutionWork,
  convolutionInputs,
  matmulInputs,
  outputSize,
  type QuantizedInputs,
  quantizedInputs,
  type TensorWork,
} from './work.ts';

/** Rows of the result that are computed in f64; all of them would take minutes. */
const sampledRows = 12;

/** Some rows of a result in f64. */
export interface SampledReference {
  /** First element of each row in the result. */
  readonly starts: readonly number[];
  readonly rows: readonly Float64Array[];
}

/** Largest absolute difference over the sampled rows, divided by the largest reference value there. */
export function sampledError(result: ArrayLike<number>, { starts, rows }: SampledReference): number {
  let difference = 0;
  let largest = 0;
  rows.forEach((row, index) => {
    row.forEach((expected, column) => {
      const distance = Math.abs((result[(starts[index] as number) + column] as number) - expected);
      // What is NaN or missing must not pass as near.
      difference = Number.isNaN(distance) ? Number.POSITIVE_INFINITY : Math.max(difference, distance);
      largest = Math.max(largest, Math.abs(expected));
    });
  });
  return difference / largest;
}

/** Reference values of a work: rows spread evenly over the result, the last one among them. */
export function sampledReference(work: TensorWork): SampledReference {
  const width = rowWidth(work);
  const count = outputSize(work) / width;
  const samples = Math.min(sampledRows, count);
  const indices = Array.from({ length: samples }, (_, index) => Math.floor(((index + 1) * count) / samples) - 1);
  return { starts: indices.map((index) => index * width), rows: referenceRows(work, indices) };
}

/** Elements of the last axis of a result. */
function rowWidth(work: TensorWork): number {
  if (work.kind === 'attention') return work.headSize;
  return work.kind === 'convolution' ? work.size : work.n;
}

function referenceRows(work: TensorWork, indices: readonly number[]): Float64Array[] {
  switch (work.kind) {
    case 'matmul': {
      const { a, b } = matmulInputs(work);
      return indices.map((row) => matmulReference(a.subarray(row * work.k, (row + 1) * work.k), b, 1, work.k, work.n));
    }
    case 'quantized-matmul': {
      const inputs = quantizedInputs(work);
      return indices.map((row) => quantizedRow(inputs, row, work.k, work.n));
    }
    case 'convolution':
      return indices.map((index) => convolutionRow(work, index));
    case 'attention': {
      const { q, k, v } = attentionInputs(work);
      const { heads, kvHeads, length, headSize, causal } = work;
      const keySize = length * headSize;
      return indices.map((index) => {
        const query = index % length;
        const kvHead = Math.floor((Math.floor(index / length) * kvHeads) / heads);
        const own = (x: Float32Array) => x.subarray(kvHead * keySize, (kvHead + 1) * keySize);
        const { output } = attentionReference({
          ...{ batches: 1, heads: 1, kvHeads: 1, queries: 1, keys: length, headSize },
          q: q.subarray(index * headSize, (index + 1) * headSize),
          k: own(k),
          v: own(v),
          keyLength: causal ? query + 1 : length,
        });
        return output;
      });
    }
  }
}

/** A row of one channel of one image: the convolution of the rows that it sees with the channel's own kernels. */
function convolutionRow(work: ConvolutionWork, index: number): Float64Array {
  const { inputs, outputs, size, kernel } = work;
  const { x, weight } = convolutionInputs(work);
  const [row, output, image] = [index % size, Math.floor(index / size) % outputs, Math.floor(index / size / outputs)];
  const half = (kernel - 1) / 2;
  const rows = Float64Array.from({ length: inputs * kernel * size }, (_, at) => {
    const y = row - half + (Math.floor(at / size) % kernel);
    const channel = image * inputs + Math.floor(at / size / kernel);
    return y < 0 || y >= size ? 0 : (x[(channel * size + y) * size + (at % size)] as number);
  });
  const own = weight.subarray(output * inputs * kernel ** 2, (output + 1) * inputs * kernel ** 2);
  return convolutionReference(rows, own, {
    ...{ images: 1, inputs, outputs: 1, size: [kernel, size], kernel: [kernel, kernel] },
    padding: [0, half],
  });
}

function quantizedRow({ x, quants, scales }: QuantizedInputs, row: number, k: number, n: number): Float64Array {
  return Float64Array.from({ length: n }, (_, column) => {
    let sum = 0;
    for (let inner = 0; inner < k; inner++) {
      const at = column * k + inner;
      const scale = scales[Math.floor(at / blockElements)] as number;
      sum += (x[row * k + inner] as number) * scale * ((quants[at] as number) - 8);
    }
    return sum;
  });
}
