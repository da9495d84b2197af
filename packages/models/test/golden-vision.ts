import { readFileSync } from 'node:fs';
import type { Gpu, ImageMessage, RawImage } from '@saccade/core';
import { parseGoldenTensors } from '@saccade/core/testing';
import {
  type LoadVisionLanguageModelOptions,
  loadVisionLanguageModel,
  type VisionLanguageModel,
} from '../src/index.ts';
import { goldenPath } from './golden-folder.ts';

export const visionFolders = [
  'llava',
  'llava-siglip',
  'idefics3',
  'smolvlm-split',
  'qwen2-vl',
  'qwen2-vl-flat',
] as const;

export type VisionFolder = (typeof visionFolders)[number];

/** Golden data of a checkpoint that sees. */
export function goldenVision(name: VisionFolder) {
  const tensors = parseGoldenTensors(readFileSync(`${goldenPath(name)}/golden.safetensors`));
  const prompts = JSON.parse(readFileSync(`${goldenPath(name)}/prompts.json`, 'utf8')) as Record<
    'one' | 'two',
    ImageMessage[]
  >;
  const image = (index: number): RawImage => {
    const { shape, data } = tensors(`image_${index}`);
    const [height, width] = shape as [number, number];
    return { height, width, channels: 3, data: Uint8Array.from(data) };
  };
  return { tensors, prompts, images: [image(0), image(1)] as const };
}

export function loadGoldenVision(
  gpu: Gpu,
  name: VisionFolder,
  options: LoadVisionLanguageModelOptions = {},
): Promise<VisionLanguageModel> {
  return loadVisionLanguageModel(gpu, goldenPath(name), { sources: ['local'], ...options });
}
