import type { Gpu, MethodRun, ModelFacts, Tensor, TokenGrid } from '@saccade/core';

/** Size of a sample, in its own elements: pixels, or latents of an autoencoder. */
export interface SampleSize {
  /** Videos only. */
  readonly frames?: number | undefined;
  readonly height: number;
  readonly width: number;
}

/** What the samples of a batch are conditioned on, in their order. */
export interface Condition {
  /** Of class-conditional networks: u32 [B]; the number of classes stands for none. */
  readonly labels?: Tensor | undefined;
  /** Of networks with text: f32 [B, T, C], embeddings of captions' tokens. */
  readonly captions?: Tensor | undefined;
  /** Tokens of each caption that count, u32 [B]; those behind them are padding. Default: all T. */
  readonly captionLengths?: Tensor | undefined;
  /** Size of the image in pixels, for networks that are told (PixArt-alpha at 1024). Default: what the sample decodes to at 8 pixels per element. */
  readonly imageSize?: { readonly height: number; readonly width: number } | undefined;
}

export interface DenoisingInput {
  /** f32 [B, C, height, width]; of videos [B, frames, C, height, width]. */
  readonly sample: Tensor;
  /** As the network was trained with; the same for all samples. */
  readonly timestep: number;
  readonly condition: Condition;
}

/** What a network is conditioned on: classes, or embeddings of captions' tokens. */
export type Conditioning =
  | { readonly kind: 'classes'; readonly classes: number }
  | {
      readonly kind: 'captions';
      /** Width of a token's embedding. */
      readonly channels: number;
      /** Whether captions may differ in length: padding is not attended to. */
      readonly ragged: boolean;
    };

/** A transformer that predicts what is noise in a sample. */
export interface DenoisingNetwork {
  readonly gpu: Gpu;
  readonly facts: ModelFacts;
  readonly inChannels: number;
  readonly outChannels: number;
  readonly conditioning: Conditioning;
  /** Size that it was trained for. */
  readonly sampleSize: SampleSize;
  /** Bytes of the weights in GPU memory. */
  readonly weightBytes: number;
  /**
   * How the tokens of a sample lie.
   * @param textTokens Tokens of the captions, where they stand in the same sequence. Default: as many as it was trained with.
   * @throws ArgumentError for a size that does not divide into patches
   */
  grid(size: SampleSize, textTokens?: number): TokenGrid;
  /** @throws ArgumentError where something is missing, ShapeError where it has another shape than the network or the batch asks for */
  checkCondition(condition: Condition, batch: number): void;
  /**
   * Runs the layers over the pass that is under way, which has as many samples; self-attention goes through the run. Records only.
   * @returns f32, as the sample, with `outChannels` channels. The caller disposes it.
   */
  forward(input: DenoisingInput, run: MethodRun): Tensor;
  dispose(): void;
}
