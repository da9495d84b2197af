import { copyInto, type Gpu, randomNormal, scale } from '@saccade/core';
import { renderScene } from '../src/scenes/draw.ts';
import { drawScene } from '../src/scenes/scene.ts';
import {
  pixelTensor,
  type TrainableVisionLanguageModel,
  type VisionLanguageBatch,
} from '../src/trainable-vision-language.ts';
import { trainingSeed } from './training-scenes.ts';

/** The steps that ask one question of each image and learn nothing else, and their images. */
export const warmUp = {
  steps: 60,
  images: 8,
  learningRate: 1e-3,
  betas: [0.9, 0.98],
  weightDecay: 0.05,
  clip: 1,
} as const;

const seed = 2026;
const deviation = 0.02;
const layers = { vision_model: 4, text_model: 6 } as const;

/**
 * Gives the model the weights that training began with: the k-th parameter by name is normal with stream k; what adds to a residual
 * stream is smaller by the root of its number; norms are one, biases zero.
 */
export function setInitialWeights(model: TrainableVisionLanguageModel): void {
  const parameters = [...model.parameters()].sort(([a], [b]) => (a < b ? -1 : 1));
  for (const [stream, [name, { tensor }]] of parameters.entries()) {
    const { gpu, shape } = tensor;
    if (tensor.rank === 1) {
      const value = name.endsWith('bias') ? 0 : 1;
      gpu.tidy(() => copyInto(tensor, gpu.tensor(new Float32Array(tensor.size).fill(value), shape)));
      continue;
    }
    const adds = /(out_proj|o_proj|fc2|down_proj)\.weight$/.test(name);
    const tower = name.includes('vision_model') ? layers.vision_model : layers.text_model;
    const own = adds ? deviation / Math.sqrt(2 * tower) : deviation;
    gpu.tidy(() => copyInto(tensor, scale(randomNormal(gpu, shape, { seed, stream }), own)));
  }
}

/** The tokens of the warm-up, as the script that trained wrote them, and its losses. */
export interface WarmUpTokens {
  /** What stands before every question: the template and the image's tokens. */
  readonly prefix: readonly number[];
  /** Position of the first image token. */
  readonly imageStart: number;
  /** An id that ends texts; rows are filled up with it. */
  readonly end: number;
  /** By step and image: the question up to the answer, and the answer. */
  readonly turns: readonly (readonly (readonly [asked: readonly number[], answer: readonly number[]])[])[];
  readonly losses: readonly number[];
}

/** The batch of a warm-up step: its eight scenes of the first level, in order, one question each. */
export function warmUpBatch(
  gpu: Gpu,
  { prefix, imageStart, end, turns }: WarmUpTokens,
  step: number,
): VisionLanguageBatch {
  const images = Array.from({ length: warmUp.images }, (_, index) =>
    renderScene(drawScene(trainingSeed(1, warmUp.images * step + index), 1)),
  );
  const rows = (turns[step] ?? []).map(([asked, answer]) => ({ ids: [...prefix, ...asked, ...answer], answer }));
  const length = Math.max(...rows.map(({ ids }) => ids.length));
  // No token has it.
  const ignoreIndex = 2 ** 16;
  const ids = new Uint32Array(rows.length * length).fill(end);
  const targets = new Uint32Array(rows.length * length).fill(ignoreIndex);
  for (const [row, own] of rows.entries()) {
    ids.set(own.ids, row * length);
    targets.set(own.answer, row * length + own.ids.length - own.answer.length - 1);
  }
  return {
    images: pixelTensor(gpu, images),
    ids: gpu.tensor(ids, [rows.length, length], 'u32'),
    targets: gpu.tensor(targets, [rows.length, length], 'u32'),
    ignoreIndex,
    counted: rows.reduce((sum, { answer }) => sum + answer.length, 0),
    imageStart,
  };
}
