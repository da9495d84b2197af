import type { Tensor } from '../tensor/tensor.ts';
import { type PromptSpans, spansWithoutImages } from './spans.ts';

/** Positions of a prompt's tokens where they count along several axes, as those of images in Qwen2-VL. */
export interface AxisPositions {
  /** For each axis the position of each token: [A][N]. */
  readonly axes: readonly (readonly number[])[];
  /** What a token behind the prompt adds to its number in the text: its position on every axis. */
  readonly offset: number;
}

/** What is known of a sequence's prompt beside its tokens; its cache carries it. */
export interface PromptFacts {
  readonly spans?: PromptSpans;
  readonly rotary?: AxisPositions;
}

/** Rows that stand in place of tokens' embeddings, such as those of an image. */
export interface PromptFeatures {
  /** Positions in the prompt, ascending: [P]. */
  readonly positions: readonly number[];
  /** f32 [P, hiddenSize] */
  readonly rows: Tensor;
}

/** A prompt as a model runs it. Dispose it where it has features. */
export class EncodedPrompt implements PromptFacts {
  readonly ids: readonly number[];
  readonly spans?: PromptSpans;
  readonly rotary?: AxisPositions;
  readonly features?: PromptFeatures;

  constructor(ids: readonly number[], facts: PromptFacts & { readonly features?: PromptFeatures } = {}) {
    this.ids = ids;
    if (facts.spans) this.spans = facts.spans;
    if (facts.rotary) this.rotary = facts.rotary;
    if (facts.features) this.features = facts.features;
  }

  /** What a cache of this prompt carries; undefined where nothing is known. */
  get facts(): PromptFacts | undefined {
    const { spans, rotary } = this;
    return spans || rotary ? { ...(spans ? { spans } : {}), ...(rotary ? { rotary } : {}) } : undefined;
  }

  /** A second owner of the same prompt. */
  share(): EncodedPrompt {
    const { features } = this;
    if (!features) return this;
    const rows = features.rows.gpu.keep(features.rows.alias());
    return new EncodedPrompt(this.ids, { ...this.facts, features: { ...features, rows } });
  }

  /** The same text as if there had never been images: their tokens and markers are gone, and positions close up. */
  withoutImages(): EncodedPrompt {
    const { spans, ids } = this;
    if (!spans || spans.images.length === 0) return new EncodedPrompt(ids, spans ? { spans } : {});
    const kept = ids.flatMap((_, position) =>
      spans.images.some(({ start, end }) => position >= start && position < end) ? [] : [position],
    );
    return new EncodedPrompt(
      kept.map((position) => ids[position] as number),
      { spans: spansWithoutImages(spans, kept) },
    );
  }

  /** Frees the features. Idempotent. */
  dispose(): void {
    this.features?.rows.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}
