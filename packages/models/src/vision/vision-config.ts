import type { TransformerConfig } from '../weights/model-config.ts';

/** A vision transformer: CLIP's, SigLIP's or Qwen2-VL's. */
export interface VisionTowerConfig {
  /** How its weights are named: `encoder.layers.0...` (CLIP, SigLIP) or `blocks.0...` (Qwen2-VL). */
  readonly names: 'encoder' | 'blocks';
  readonly hiddenSize: number;
  /** Layers that are run; the file may hold more. */
  readonly layers: number;
  readonly heads: number;
  readonly intermediateSize: number;
  readonly activation: TransformerConfig['activation'];
  readonly epsilon: number;
  /** Pixels along the edge of a patch. */
  readonly patchSize: number;
  /** Frames that a patch covers; a still picture is repeated. */
  readonly frames: number;
  /** Patches along the edge of the squares that the projector joins; they stand one behind the other. */
  readonly group: number;
  readonly patchBias: boolean;
  /** A learned token before the patches, and whether it stays among the features. */
  readonly classToken: 'none' | 'dropped' | 'kept';
  /** A norm before the first layer. */
  readonly preNorm: boolean;
  /** A norm behind the last one. */
  readonly postNorm: boolean;
  readonly positions:
    | {
        readonly kind: 'learned';
        /** Positions along an edge of the trained grid. */
        readonly side: number;
      }
    | { readonly kind: 'rotary'; readonly theta: number };
}

/** What brings features of patches into the language model. */
export type ProjectorConfig =
  /** Two linear layers with an activation between (LLaVA-1.5). */
  | { readonly kind: 'mlp'; readonly activation: TransformerConfig['activation']; readonly bias: boolean }
  /** The patches of a square side by side, through one linear layer (Idefics3's pixel shuffle). */
  | { readonly kind: 'shuffle' }
  /** A norm, the patches of a square side by side, two linear layers (Qwen2-VL). */
  | { readonly kind: 'merger' };
