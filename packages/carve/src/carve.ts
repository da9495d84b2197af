import {
  ArgumentError,
  type ImagePrompt,
  type ModelHandle,
  parseOptions,
  type RawImage,
  type RgbImage,
  rgbImage,
  ShapeError,
} from '@saccade/core';
import { contrastAttention } from './contrast.ts';
import { isFlat } from './flat-map.ts';
import { fuseMaps } from './fuse-maps.ts';
import { type CarveOptions, carveOptions, fusedLayers, type ResolvedCarveOptions } from './options.ts';
import { type AttentionMaps, recordAttention } from './record-attention.ts';
import { refineImage } from './refine-image.ts';
import { type Box, selectRegions } from './select-regions.ts';

/** What is asked. */
export interface CarveInput {
  readonly image: RawImage;
  readonly text: string;
  /** Stands behind the question and the general instruction. */
  readonly answerSuffix?: string;
  /** What a model is told to say of any image. */
  readonly generalInstruction?: string;
  /** Attention under the general instruction from an earlier question about the same image: saves a pass. */
  readonly general?: AttentionMaps | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** What {@link carve} found. */
export interface CarveResult {
  /** The answer of the last pass. */
  readonly refinedAnswer: string;
  /** The answer of the first pass, to the image as it is. */
  readonly originalAnswer: string;
  /** What the last pass saw, beside the image or in its place. */
  readonly refined: RgbImage;
  /** Whether attention told nothing, so that the image and the answer are the original ones. */
  readonly flat: boolean;
  /** The fused map, f32 [height * width] of the image. */
  readonly saliency: Float32Array;
  /** 1 for pixels that stayed: [height * width]. */
  readonly mask: Uint8Array;
  readonly box: Box;
  /** For further questions about the image. */
  readonly general: AttentionMaps;
}

const defaultSuffix = ' Answer the question using a single word or phrase.';
const defaultInstruction = 'Write a general description of the image.';

/**
 * Contrastive attention refinement, CARVE (arXiv 2509.06461): the model answers a question and a general instruction, the ratio of
 * its attention in both cuts out what the question is about, and with that image it answers again. Greedy.
 *
 * @throws OptionError for an option out of its range; RefusedError for a model without images; ImageError; ShapeError for general
 *   attention of another image size or other layers
 */
export async function carve(model: ModelHandle, input: CarveInput, options: CarveOptions = {}): Promise<CarveResult> {
  const resolved = parseOptions(carveOptions, options);
  if (typeof input.text !== 'string') throw new ArgumentError('text', input.text, 'a question as text');
  const { answerSuffix = defaultSuffix, generalInstruction = defaultInstruction, signal } = input;
  const image = rgbImage(input.image);
  const layers = fusedLayers(resolved, model.facts);
  const firstOnly = resolved.steps === 'first';
  const maxTokens = resolved.maxNewTokens;
  const ask = (text: string, images: readonly RgbImage[]): ImagePrompt => ({
    text: text + answerSuffix,
    images: images.map((each) => ({ ...each, channels: 3 as const })),
  });

  const question = await recordAttention(model, ask(input.text, [image]), { layers, maxTokens, firstOnly, signal });
  const general =
    input.general ??
    (
      await recordAttention(model, ask(generalInstruction, [image]), {
        layers,
        maxTokens: firstOnly ? 1 : maxTokens,
        firstOnly,
        signal,
      })
    ).maps;
  const { saliency, flat } = contrastMap(question.maps, general, image, resolved);
  const original = { originalAnswer: question.text, saliency, general, flat };
  if (flat) {
    const mask = new Uint8Array(saliency.length).fill(1);
    const box = { top: 0, left: 0, height: image.height, width: image.width };
    return { ...original, refinedAnswer: question.text, refined: image, mask, box };
  }
  const { mask, box } = selectRegions(saliency, image, resolved);
  const refined = refineImage(image, mask, box);
  const images = resolved.answerImages === 'both' ? [image, refined] : [refined];
  let refinedAnswer = '';
  for await (const piece of model.generate(ask(input.text, images), { maxTokens, signal })) refinedAnswer += piece.text;
  return { ...original, refinedAnswer, refined, mask, box };
}

function contrastMap(
  task: AttentionMaps,
  general: AttentionMaps,
  image: RgbImage,
  { lambda, steps }: ResolvedCarveOptions,
): { saliency: Float32Array; flat: boolean } {
  const describe = ({ rows, columns, layers }: AttentionMaps) => `${rows} x ${columns} in layers ${layers.join(', ')}`;
  if (describe(task) !== describe(general))
    throw new ShapeError('carve', `attention is ${describe(task)}, but the general one ${describe(general)}.`);
  // Steps of the longer answer that have no partner are left out.
  const pairs = Math.min(task.steps.length, general.steps.length);
  const [from, to] = { all: [0, pairs], first: [0, 1], last: [pairs - 1, pairs] }[steps] as [number, number];
  const ratioTo = ({ steps: own }: AttentionMaps) =>
    own
      .slice(from, to)
      .map((maps, step) =>
        maps.map((map, layer) => contrastAttention(map, general.steps[from + step]?.[layer] as Float32Array, lambda)),
      );
  const saliency = fuseMaps(ratioTo(task), task, image);
  return { saliency, flat: isFlat(saliency, fuseMaps(ratioTo(general), task, image)) };
}
