import { randomArray, randomIntegers } from '@saccade/core/testing';
import type { TrainingWork } from './training.ts';

/** Elements of a quantization block, as GGUF's Q4_0 and onnxruntime's MatMulNBits have them. */
export const blockElements = 32;

/** [M, K] x [K, N] in f32. */
export interface MatmulWork {
  readonly kind: 'matmul';
  readonly m: number;
  readonly k: number;
  readonly n: number;
}

/** x [M, K] f32 times the transpose of a weight [N, K] of 4-bit integers in blocks with one scale each, zero at 8. */
export interface QuantizedMatmulWork {
  readonly kind: 'quantized-matmul';
  readonly m: number;
  readonly k: number;
  readonly n: number;
}

/** Self-attention of one sequence in f32. */
export interface AttentionWork {
  readonly kind: 'attention';
  readonly causal: boolean;
  readonly heads: number;
  readonly kvHeads: number;
  readonly length: number;
  readonly headSize: number;
}

/** A convolution of images [B, C, H, W] in f32 with an odd square kernel, padded so that the size stays. */
export interface ConvolutionWork {
  readonly kind: 'convolution';
  readonly images: number;
  readonly inputs: number;
  readonly outputs: number;
  /** Rows and columns of an image. */
  readonly size: number;
  readonly kernel: number;
}

/** A whole language model from a GGUF file. */
export interface ModelWork {
  readonly kind: 'model';
  readonly phase: 'prefill' | 'decode';
  /** Tokens of the prompt: those that run, or those in the cache. */
  readonly context: number;
  readonly file: string;
}

export type TensorWork = MatmulWork | QuantizedMatmulWork | AttentionWork | ConvolutionWork;
export type Work = TensorWork | ModelWork | TrainingWork;

/** The name of a work in results; the first words say its kind. */
export function workName(work: Work): string {
  switch (work.kind) {
    case 'matmul':
      return `matmul f32 ${work.m}x${work.k}x${work.n}`;
    case 'quantized-matmul':
      return `matmul quantized 4-bit ${work.m}x${work.k}x${work.n}`;
    case 'attention': {
      const heads = work.heads === work.kvHeads ? `${work.heads} heads` : `${work.heads}/${work.kvHeads} heads`;
      return `attention ${work.causal ? 'causal' : 'other'} N=${work.length}, ${heads} of ${work.headSize}`;
    }
    case 'training':
      return `training step, ${work.layers} layers of ${work.hiddenSize}, ${work.batch} rows of ${work.length}`;
    case 'convolution':
      return `convolution ${work.kernel}x${work.kernel}, ${work.inputs} to ${work.outputs} channels, ${work.images} of ${work.size}x${work.size}`;
    case 'model':
      return work.phase === 'prefill' ? `model prefill of ${work.context}` : `model decode at ${work.context}`;
  }
}

/** Floating-point operations of a work on tensors; of causal attention the seen half counts. */
export function workFlops(work: TensorWork): number {
  if (work.kind === 'convolution') return 2 * outputSize(work) * work.inputs * work.kernel ** 2;
  if (work.kind !== 'attention') return 2 * work.m * work.k * work.n;
  const pairs = work.causal ? (work.length * (work.length + 1)) / 2 : work.length ** 2;
  return 4 * work.heads * pairs * work.headSize;
}

/** The inputs of a work, the same in every process: seeded by a constant. Row-major f32. */
export interface MatmulInputs {
  readonly a: Float32Array;
  readonly b: Float32Array;
}

export function matmulInputs({ m, k, n }: MatmulWork): MatmulInputs {
  return { a: randomArray(m * k, 1), b: randomArray(k * n, 2) };
}

export interface QuantizedInputs {
  readonly x: Float32Array;
  /** 0 to 15, [N, K] */
  readonly quants: Uint32Array;
  /** Exact in f16, [N, K / 32] */
  readonly scales: Float32Array;
}

export function quantizedInputs({ m, k, n }: QuantizedMatmulWork): QuantizedInputs {
  // Sixteenths between 1/16 and 1: the same number in f16 and f32.
  const scales = Float32Array.from(randomIntegers((n * k) / blockElements, 3, 16), (step) => (step + 1) / 16);
  return { x: randomArray(m * k, 1), quants: randomIntegers(n * k, 2, 16), scales };
}

export interface AttentionInputs {
  /** [H, N, D] */
  readonly q: Float32Array;
  /** [Hkv, N, D] */
  readonly k: Float32Array;
  readonly v: Float32Array;
}

export function attentionInputs({ heads, kvHeads, length, headSize }: AttentionWork): AttentionInputs {
  const own = { scale: 2 };
  return {
    q: randomArray(heads * length * headSize, 1, own),
    k: randomArray(kvHeads * length * headSize, 2, own),
    v: randomArray(kvHeads * length * headSize, 3),
  };
}

export interface ConvolutionInputs {
  /** [B, C, H, W] */
  readonly x: Float32Array;
  /** [O, C, rows, columns] */
  readonly weight: Float32Array;
}

export function convolutionInputs({ images, inputs, outputs, size, kernel }: ConvolutionWork): ConvolutionInputs {
  return { x: randomArray(images * inputs * size ** 2, 1), weight: randomArray(outputs * inputs * kernel ** 2, 2) };
}

/** Elements of the result: [M, N], [H, N, D], or [B, O, H, W]. */
export function outputSize(work: TensorWork): number {
  if (work.kind === 'convolution') return work.images * work.outputs * work.size ** 2;
  return work.kind === 'attention' ? work.heads * work.length * work.headSize : work.m * work.n;
}
