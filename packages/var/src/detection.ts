import {
  absolute,
  add,
  concatenate,
  type Gpu,
  type ModelHandle,
  max,
  mean,
  multiply,
  rsqrt,
  scale,
  square,
  type Tensor,
} from '@saccade/core';

/** Sink dimensions that the authors published, by language model (LLaVA-1.5-7B; LLaVA-1.5-13B and LLaVA-1.6-13B; Qwen2-VL-7B). */
export const publishedSinkDimensions = {
  'llama-2-7b': [1415, 2533],
  'llama-2-13b': [2100, 4743],
  'qwen2-vl-7b': [458, 2570],
} as const satisfies Readonly<Record<string, readonly number[]>>;

const epsilon = 1e-6;

/**
 * How much of a sink each token is: the largest magnitude in the sink dimensions of its residual, divided by the residual's root mean
 * square (section 3.1, without the norm's learned gain). At most sqrt(E).
 *
 * @param residual f32 [N, E], what enters a layer, before its norm
 * @returns f32 [N]
 */
export function sinkScores(residual: Tensor, dimensions: readonly number[]): Tensor {
  return residual.gpu.tidy(() => {
    const columns = dimensions.map((dimension) => residual.slice(1, dimension, dimension + 1));
    const largest = max(absolute(concatenate(columns, 1)), { axis: 1 });
    return multiply(largest, rsqrt(scale(mean(square(residual), { axis: 1 }), 1, epsilon)));
  });
}

const texts = [
  'The picture shows a street in the rain.',
  'What is on the table?',
  'She opened the door and looked at the garden for a while.',
  '1, 2, 3, 4 and so on.',
];

/**
 * Hidden dimensions that are extreme at the first token in the middle layers: where sinks show. Runs a few short texts.
 *
 * @param count How many. Default 2, as published.
 */
export async function findSinkDimensions(model: ModelHandle, count = 2): Promise<number[]> {
  const { gpu, facts } = model;
  const layers = Array.from({ length: facts.layers }, (_, layer) => layer).slice(
    Math.floor(facts.layers / 3),
    Math.max(Math.floor(facts.layers / 3) + 1, Math.ceil((2 * facts.layers) / 3)),
  );
  const rows: Tensor[] = [];
  const observe = Object.fromEntries(
    layers.map((layer) => [`blocks.${layer}.residual.pre`, (x: Tensor) => void rows.push(normalisedFirst(gpu, x))]),
  );
  const magnitudes = gpu.tidy(() => {
    for (const text of texts) model.forward(model.encodePrompt(text), { observe, logits: 'none' });
    return rows.reduce((total, row) => add(total, row));
  });
  for (const row of rows) row.dispose();
  const sums = await magnitudes.read();
  magnitudes.dispose();
  const order = Array.from(sums, (_, dimension) => dimension).sort(
    (a, b) => (sums[b] as number) - (sums[a] as number) || a - b,
  );
  return order.slice(0, count).sort((a, b) => a - b);
}

/** f32 [1, E]: magnitudes of the first row by its root mean square. */
function normalisedFirst(gpu: Gpu, residual: Tensor): Tensor {
  return gpu.keep(
    gpu.tidy(() => {
      const first = residual.slice(0, 0, 1);
      return multiply(absolute(first), rsqrt(scale(mean(square(first), { axis: 1, keepDims: true }), 1, epsilon)));
    }),
  );
}
