import { type RawImage, RefusedError } from '@saccade/core';
import { attentionOverlay, encodePng, imageAttention, type VisionLanguageModel } from '@saccade/models';
import { heldOutSample, renderScene } from '@saccade/tiny-models';
import type { ImageQuestion } from '../../method-entry.ts';
import { base64 } from '../../result-file/base64.ts';
import type { ScenarioContext, Variant } from '../../scenario.ts';

/** Scenes whose pictures are shown: by level and number, each with its first question about a colour. */
const shown = [
  { level: 2, index: 0 },
  { level: 4, index: 0 },
] as const;

/**
 * Adds pictures of where the answer's first token looks, layer by layer: without a method and with each. Methods that replace attention
 * by something without probabilities have none, nor have procedures.
 */
export async function showAttention(
  context: ScenarioContext,
  model: VisionLanguageModel,
  variants: readonly Variant[],
): Promise<void> {
  const methods = variants.filter(({ answer }) => answer === undefined);
  for (const { level, index } of shown) {
    const question = colourQuestion(context.seed, level, index);
    if (!question) continue;
    const prompt = { images: [question.image], text: question.text };
    const dense = await imageAttention(model, prompt, { signal: context.signal });
    // Brightness means the same in every picture of a question.
    const most = dense.map(({ values }) => Math.max(...values));
    for (const variant of methods) {
      context.signal.throwIfAborted();
      const method = variant.create();
      const maps = method
        ? await imageAttention(model, prompt, { method, signal: context.signal }).catch((error: unknown) => {
            if (RefusedError.isInstance(error)) return undefined;
            throw error;
          })
        : dense;
      if (!maps || maps.length === 0) continue;
      const overlays = maps.map((map) => attentionOverlay(question.image, map, { most: most[map.layer] ?? 1 }));
      const masses = maps.map(({ layer, mass }) => `${layer}: ${(100 * mass).toFixed(0)}%`).join(', ');
      const budget = variant.budget === null ? '' : ` at ${variant.budget}`;
      context.picture({
        title: `${variant.entry.title}${budget}, level ${level}: “${question.text}”`,
        caption: `The image, and where the answer’s first token looks in layers 0 to ${maps.length - 1}; of its attention the image has ${masses}.`,
        columns: ['the image', ...maps.map(({ layer }) => `layer ${layer}`)],
        rows: [question.text],
        png: base64(await encodePng(sideBySide([question.image, ...overlays]))),
      });
    }
  }
}

function colourQuestion(set: number, level: 2 | 4, first: number): ImageQuestion | undefined {
  for (let index = first; index < first + 20; index++) {
    const { scene, questions } = heldOutSample(level, index, 'objects', set);
    const question = questions.find(({ kind }) => kind === 'colour');
    if (question) return { image: renderScene(scene), text: question.text };
  }
  return undefined;
}

/** RGB images of one height in a row, white between them. */
function sideBySide(images: readonly RawImage[]): RawImage {
  const gap = 4;
  const [{ height } = { height: 0 }] = images;
  const width = images.reduce((sum, image) => sum + image.width + gap, -gap);
  const data = new Uint8Array(width * height * 3).fill(255);
  let left = 0;
  for (const image of images) {
    for (let y = 0; y < height; y++) {
      data.set(image.data.subarray(y * image.width * 3, (y + 1) * image.width * 3), (y * width + left) * 3);
    }
    left += image.width + gap;
  }
  return { width, height, channels: 3, data };
}
