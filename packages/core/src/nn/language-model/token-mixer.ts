import type { Value } from '../../autodiff/index.ts';
import type { RopeTable } from '../../ops/rope-table.ts';
import { Module } from '../module.ts';

/** What a layer is given beside its input. */
export interface LayerContext {
  /** Index of the layer, from 0. */
  readonly layer: number;
  /** Rotary embeddings of positions 0 .. N - 1 and further; lives until the backward pass is over. */
  readonly rope: RopeTable;
  /** Dropout of a value, while training with it; else the value itself. Every call draws other numbers. */
  readonly drop: (x: Value) => Value;
}

/** What lets the tokens of a row see each other: attention, or what stands in its place. */
export abstract class TokenMixer extends Module {
  /**
   * @param x f32 [B, N, hiddenSize], normed; no token may see a later one
   * @returns f32 [B, N, hiddenSize], which is added to the residual stream
   */
  abstract forward(x: Value, context: LayerContext): Value;
}
