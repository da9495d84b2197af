import {
  attention,
  conv2d,
  encodeElements,
  type Gpu,
  linear,
  matmul,
  type PromptCache,
  quantizedTensor,
  type Tensor,
} from '@saccade/core';
import { type LanguageModel, loadLanguageModel } from '@saccade/models';
import { prepareTraining } from './ours-training.ts';
import { comparedTokens, type Implementation, type PreparedWork, promptSentence, timed } from './runner.ts';
import {
  type AttentionWork,
  attentionInputs,
  blockElements,
  type ConvolutionWork,
  convolutionInputs,
  type MatmulWork,
  type ModelWork,
  matmulInputs,
  type QuantizedMatmulWork,
  quantizedInputs,
  type TensorWork,
  type Work,
} from './work.ts';

/** This project's kernels. */
export class Ours implements Implementation {
  readonly description = 'this project';
  readonly #gpu: Gpu;

  constructor(gpu: Gpu) {
    this.#gpu = gpu;
  }

  async prepare(work: Work): Promise<PreparedWork> {
    if (work.kind === 'model') return await prepareModel(this.#gpu, work);
    return work.kind === 'training' ? prepareTraining(this.#gpu, work) : prepareTensors(this.#gpu, work);
  }
}

function prepareTensors(gpu: Gpu, work: TensorWork): PreparedWork {
  const inputs: Tensor[] = [];
  const keep = (tensor: Tensor) => {
    inputs.push(gpu.keep(tensor));
    return tensor;
  };
  const operation = operationOf(gpu, work, keep);
  const onceMore = async () => {
    gpu.tidy(() => {
      operation();
    });
    await gpu.synchronize();
  };
  return {
    run: () => timed(onceMore),
    output: async () => {
      const result = gpu.keep(gpu.tidy(operation));
      try {
        return await result.read();
      } finally {
        result.dispose();
      }
    },
    dispose: () => {
      for (const tensor of inputs) tensor.dispose();
    },
  };
}

function operationOf(gpu: Gpu, work: TensorWork, keep: (tensor: Tensor) => Tensor): () => Tensor {
  switch (work.kind) {
    case 'matmul':
      return matmulOperation(gpu, work, keep);
    case 'quantized-matmul':
      return quantizedOperation(gpu, work, keep);
    case 'attention':
      return attentionOperation(gpu, work, keep);
    case 'convolution':
      return convolutionOperation(gpu, work, keep);
  }
}

function matmulOperation(gpu: Gpu, work: MatmulWork, keep: (tensor: Tensor) => Tensor): () => Tensor {
  const inputs = matmulInputs(work);
  const a = keep(gpu.tensor(inputs.a, [work.m, work.k]));
  const b = keep(gpu.tensor(inputs.b, [work.k, work.n]));
  return () => matmul(a, b);
}

function quantizedOperation(gpu: Gpu, work: QuantizedMatmulWork, keep: (tensor: Tensor) => Tensor): () => Tensor {
  const { x, quants, scales } = quantizedInputs(work);
  const rows = keep(gpu.tensor(x, [work.m, work.k]));
  const weight = keep(quantizedTensor(gpu, 'q4_0', [work.n, work.k], encodeQ4(quants, scales)));
  return () => linear(rows, weight);
}

/** GGUF's Q4_0: an f16 scale, then 16 bytes whose low halves are the first elements of the block. */
function encodeQ4(quants: Uint32Array, scales: Float32Array): Uint8Array {
  const bytes = new Uint8Array(scales.length * 18);
  const half = blockElements / 2;
  const halves = encodeElements(scales, 'f16');
  scales.forEach((_, block) => {
    bytes.set(halves.subarray(2 * block, 2 * block + 2), block * 18);
    for (let index = 0; index < half; index++) {
      const low = quants[block * blockElements + index] as number;
      const high = quants[block * blockElements + half + index] as number;
      bytes[block * 18 + 2 + index] = low | (high << 4);
    }
  });
  return bytes;
}

function attentionOperation(gpu: Gpu, work: AttentionWork, keep: (tensor: Tensor) => Tensor): () => Tensor {
  const inputs = attentionInputs(work);
  const { heads, kvHeads, length, headSize, causal } = work;
  const q = keep(gpu.tensor(inputs.q, [1, heads, length, headSize]));
  const k = keep(gpu.tensor(inputs.k, [1, kvHeads, length, headSize]));
  const v = keep(gpu.tensor(inputs.v, [1, kvHeads, length, headSize]));
  return () => attention(q, k, v, { causal }).output;
}

function convolutionOperation(gpu: Gpu, work: ConvolutionWork, keep: (tensor: Tensor) => Tensor): () => Tensor {
  const { images, inputs, outputs, size, kernel } = work;
  const given = convolutionInputs(work);
  const x = keep(gpu.tensor(given.x, [images, inputs, size, size]));
  const weight = keep(gpu.tensor(given.weight, [outputs, inputs, kernel, kernel]));
  return () => conv2d(x, weight, { padding: (kernel - 1) / 2 });
}

async function prepareModel(gpu: Gpu, work: ModelWork): Promise<PreparedWork> {
  const model = await loadLanguageModel(gpu, work.file);
  try {
    const ids = promptIds(model, work.context);
    const prompt = work.phase === 'decode' ? await model.prefill(ids, { reserve: 64 }) : undefined;
    return {
      run: () =>
        prompt ? decodeTokens(gpu, model, prompt) : timed(async () => (await prefilled(gpu, model, ids)).dispose()),
      output: async () => await greedyTokens(model, ids),
      dispose: () => {
        prompt?.dispose();
        model.dispose();
      },
    };
  } catch (error) {
    model.dispose();
    throw error;
  }
}

function promptIds(model: LanguageModel, count: number): number[] {
  const ids = model.encodePrompt(promptSentence.repeat(Math.ceil(count / 8)));
  return ids.slice(0, count);
}

async function prefilled(gpu: Gpu, model: LanguageModel, ids: readonly number[]): Promise<PromptCache> {
  const prompt = await model.prefill(ids, { reserve: 8 });
  await gpu.synchronize();
  return prompt;
}

/** Milliseconds per token, read back one by one as a user would. */
async function decodeTokens(gpu: Gpu, model: LanguageModel, prompt: PromptCache): Promise<number> {
  const tokens = 4;
  await gpu.synchronize();
  const start = performance.now();
  // The prompt's own logits give the first token without a pass.
  for await (const _ of model.generate(prompt, { maxTokens: tokens + 1, ignoreEndOfText: true }));
  return (performance.now() - start) / tokens;
}

async function greedyTokens(model: LanguageModel, ids: readonly number[]): Promise<number[]> {
  const tokens: number[] = [];
  for await (const piece of model.generate(ids, { maxTokens: comparedTokens, ignoreEndOfText: true })) {
    tokens.push(...piece.ids);
  }
  return tokens;
}
