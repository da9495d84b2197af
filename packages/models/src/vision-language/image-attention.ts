import {
  ArgumentError,
  type ImageSpan,
  type LayersChoice,
  type ModelHandle,
  type Prompt,
  type PromptCache,
  type RawImage,
  RefusedError,
  type RunOptions,
  resolveLayers,
  type Tensor,
} from '@saccade/core';

export interface ImageAttentionOptions extends Pick<RunOptions, 'method' | 'signal' | 'seed'> {
  /** Default: all. */
  readonly layers?: LayersChoice;
  /** Position of the query in the prompt; negative ones count from its end. Default -1, which predicts the answer's first token. */
  readonly position?: number;
  /** Which of the prompt's images. Default 0. */
  readonly image?: number;
}

/** How one token of a prompt looks at an image in one layer. */
export interface ImageAttention {
  readonly layer: number;
  readonly rows: number;
  readonly columns: number;
  /** Probability of each cell's token, the mean over heads, row by row: [rows * columns]. */
  readonly values: Float32Array;
  /** Their sum: the share of its attention that goes to the image. */
  readonly mass: number;
}

/**
 * Where a token of the prompt looks in an image, layer by layer, under a method or without. One run of the prompt and one readback.
 *
 * @param prompt Images with a text, or one that was encoded (it stays the caller's).
 * @throws RefusedError where the prompt has no such image, or a method replaces attention by something without probabilities
 */
export async function imageAttention(
  model: ModelHandle,
  prompt: Exclude<Prompt, PromptCache>,
  options: ImageAttentionOptions = {},
): Promise<ImageAttention[]> {
  const { layers, position = -1, image = 0, ...run } = options;
  const { gpu, facts } = model;
  const encoded = await model.encode(prompt);
  const kept: { readonly layer: number; readonly pattern: Tensor }[] = [];
  try {
    const span = encoded.spans?.images[image];
    if (!span) throw new RefusedError(`The prompt has no image ${image}.`);
    const count = encoded.ids.length;
    const at = position < 0 ? count + position : position;
    if (!Number.isInteger(at) || at < 0 || at >= count) {
      throw new ArgumentError('imageAttention: position', position, `a position of the prompt's ${count} tokens`);
    }
    const chosen =
      layers === undefined ? facts.layerKinds.map((_, layer) => layer) : resolveLayers(layers, facts.layers);
    const observe = Object.fromEntries(
      chosen.map((layer) => {
        const callback = (pattern: Tensor) => {
          kept.push({ layer, pattern: gpu.keep(pattern.alias()) });
        };
        return [`blocks.${layer}.attention.pattern`, { positions: [at], callback }];
      }),
    );
    (await model.prefill(encoded, { ...run, observe, reserve: 0 })).dispose();
    const silent = chosen.filter((own) => !kept.some(({ layer }) => layer === own));
    if (silent.length > 0) {
      throw new RefusedError(`A method attends by itself in layers ${silent.join(', ')} and tells no probabilities.`);
    }
    const read = await gpu.read(kept.map(({ pattern }) => pattern));
    return kept.map(({ layer, pattern }, index) => attentionOf(layer, pattern, read[index] as Float32Array, span));
  } finally {
    for (const { pattern } of kept) pattern.dispose();
    encoded.dispose();
  }
}

function attentionOf(layer: number, { shape }: Tensor, pattern: Float32Array, span: ImageSpan): ImageAttention {
  const [, heads, keys] = shape as [number, number, number];
  const values = Float32Array.from(span.positions, (position) => {
    let sum = 0;
    for (let head = 0; head < heads; head++) sum += pattern[head * keys + position] ?? 0;
    return sum / heads;
  });
  return { layer, rows: span.rows, columns: span.columns, values, mass: values.reduce((sum, value) => sum + value, 0) };
}

/**
 * An image with attention over it: dark where a token does not look, as it is where it looks most, with a reddish glow in between.
 *
 * @param attention Of one layer, or any grid over the image.
 * @param options `most`: the value that is shown brightest. Default: the largest.
 * @throws ArgumentError for a grid of another size than its values
 */
export function attentionOverlay(
  image: RawImage,
  attention: Pick<ImageAttention, 'rows' | 'columns' | 'values'>,
  options: { readonly most?: number } = {},
): RawImage {
  const { width, height, channels, data } = image;
  const { rows, columns, values } = attention;
  if (values.length !== rows * columns || values.length === 0) {
    throw new ArgumentError('attentionOverlay: values', `${values.length} values`, `${rows} x ${columns} of them`);
  }
  const most = options.most ?? values.reduce((largest, value) => Math.max(largest, value), 0);
  const out = new Uint8Array(width * height * 3);
  for (let y = 0; y < height; y++) {
    const row = Math.min(Math.floor((y * rows) / height), rows - 1);
    for (let x = 0; x < width; x++) {
      const column = Math.min(Math.floor((x * columns) / width), columns - 1);
      const level = most > 0 ? Math.min((values[row * columns + column] as number) / most, 1) : 0;
      const shown = 0.25 + 0.75 * level;
      const glow = 160 * level * (1 - 0.5 * level);
      const from = (y * width + x) * channels;
      for (let colour = 0; colour < 3; colour++) {
        const value = data[from + (channels < 3 ? 0 : colour)] as number;
        out[(y * width + x) * 3 + colour] = Math.min(value * shown + (colour === 0 ? glow : 0), 255);
      }
    }
  }
  return { width, height, channels: 3, data: out };
}
