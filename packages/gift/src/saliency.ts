import {
  type AttentionCall,
  add,
  attentionProbabilities,
  imagePositions,
  type LayerContext,
  RefusedError,
  scale,
  type Tensor,
} from '@saccade/core';
import { type InformativeWords, informativePositions } from './informative.ts';
import { gazeShift } from './kernels/gaze-shift.ts';
import { saliencyMultipliers } from './kernels/saliency-multipliers.ts';
import type { ResolvedGiftOptions } from './options.ts';

/** How salient image tokens are, gathered layer by layer while a prompt runs. */
export class Saliency {
  readonly #layers: number;
  #seen = 0;
  #sum: Tensor | undefined;
  /** f32 [T], once all layers were seen. */
  multipliers: Tensor | undefined;

  constructor(layers: number) {
    this.#layers = layers;
  }

  /**
   * Adds one layer's attention of the prompt.
   * @throws RefusedError for a prompt behind an earlier one
   */
  observe(
    context: LayerContext,
    { q, keys, options }: AttentionCall,
    numbers: Pick<ResolvedGiftOptions, 'alpha' | 'clipSigma' | 'headFraction'>,
    informative: InformativeWords | undefined,
  ): void {
    const { gpu, spans, start } = context;
    const question = spans?.question;
    if (!question || start > 0)
      throw new RefusedError('gift must see a prompt as a whole: it cannot go on behind an earlier one.');
    const positions = informativePositions(question, informative);
    const before = Math.min(...positions) - 1;
    const { returnLogSumExp: _lse, returnRowMaximum: _maximum, givenProbabilities: _given, ...where } = options;
    const shift = gpu.tidy(() => {
      const rows = q.slice(2, before, Math.max(...positions) + 1);
      const probabilities = attentionProbabilities(rows, keys, { ...where, queryOffset: before });
      const [, heads = 0, count = 0, columns = 0] = probabilities.shape;
      const images = spans.images.flatMap(imagePositions);
      const gained = gazeShift(
        probabilities.reshape([heads, count, columns]),
        gpu.tensor(
          positions.map((position) => position - before),
          [positions.length],
          'u32',
        ),
        gpu.tensor(images, [images.length], 'u32'),
        numbers,
      );
      return this.#sum ? add(this.#sum, gained) : gained;
    });
    this.#sum?.dispose();
    this.#sum = gpu.keep(shift);
    this.#seen += 1;
    if (this.#seen < this.#layers) return;
    const mean = gpu.tidy(() => saliencyMultipliers(scale(shift, 1 / this.#layers), numbers));
    this.multipliers = gpu.keep(mean);
  }

  dispose(): void {
    this.#sum?.dispose();
    this.multipliers?.dispose();
  }
}
