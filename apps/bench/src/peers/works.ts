import { UsageError } from '../usage-error.ts';
import type { TrainingWork } from './training.ts';
import {
  type AttentionWork,
  type ConvolutionWork,
  type MatmulWork,
  type QuantizedMatmulWork,
  type Work,
  workName,
} from './work.ts';

const matmul = (m: number, k: number, n: number): MatmulWork => ({ kind: 'matmul', m, k, n });
const quantized = (m: number, k: number, n: number): QuantizedMatmulWork => ({ kind: 'quantized-matmul', m, k, n });
const attention = (causal: boolean, length: number, kvHeads = 8): AttentionWork => ({
  kind: 'attention',
  causal,
  heads: 8,
  kvHeads,
  length,
  headSize: 64,
});

const training = (layers: number, hiddenSize: number, batch: number, length: number): TrainingWork => ({
  kind: 'training',
  layers,
  hiddenSize,
  heads: 4,
  intermediateSize: (hiddenSize * 11) / 4,
  batch,
  length,
});

const convolution = (images: number, inputs: number, outputs: number, size: number): ConvolutionWork => ({
  kind: 'convolution',
  images,
  inputs,
  outputs,
  size,
  kernel: 3,
});

/** Work of a quick comparison. */
const quickWorks: readonly Work[] = [
  matmul(512, 512, 512),
  // SmolLM2-135M's gate and up projections over a chunk of the prompt.
  matmul(512, 576, 3072),
  quantized(1, 576, 3072),
  quantized(512, 576, 3072),
  attention(true, 1024),
  attention(false, 1024),
  convolution(4, 32, 64, 32),
  training(2, 128, 4, 128),
];

const furtherWorks: readonly Work[] = [
  matmul(1024, 1024, 1024),
  matmul(2048, 2048, 2048),
  matmul(4096, 4096, 4096),
  // The other projections of SmolLM2-135M: query and output, key or value, down; a short prompt; the head of one token.
  matmul(512, 576, 576),
  matmul(512, 576, 192),
  matmul(512, 1536, 576),
  matmul(16, 576, 3072),
  matmul(1, 576, 49152),
  // ViT-B over 197 patches: a projection, and the MLP.
  matmul(197, 768, 768),
  matmul(197, 768, 3072),
  matmul(197, 3072, 768),
  quantized(1, 576, 576),
  quantized(1, 1536, 576),
  quantized(1, 576, 49152),
  quantized(16, 576, 3072),
  quantized(1024, 576, 3072),
  quantized(1024, 1536, 576),
  attention(true, 2048, 2),
  attention(true, 4096),
  attention(false, 4096),
  // A stage of ResNet-18.
  convolution(1, 64, 64, 56),
  // The shipped byte model's width.
  training(8, 128, 2, 256),
  training(2, 256, 4, 256),
];

/** Everything that is compared, smallest first. `modelFile` is a GGUF file, where there is one. */
export function worksToCompare(quick: boolean, modelFile: string | undefined): Work[] {
  const models: Work[] =
    modelFile === undefined || quick
      ? []
      : (['prefill', 'decode'] as const).map((phase) => ({ kind: 'model', phase, context: 1024, file: modelFile }));
  return [...quickWorks, ...(quick ? [] : furtherWorks), ...models];
}

/**
 * The works that have `part` in their name.
 *
 * @throws UsageError where there are none
 */
export function chooseWorks(all: readonly Work[], part: string): readonly Work[] {
  const works = all.filter((work) => workName(work).includes(part));
  if (works.length === 0) {
    throw new UsageError(`No work has '${part}' in its name. There are: ${all.map(workName).join('; ')}.`);
  }
  return works;
}
