import { ArgumentError } from '@saccade/core';
import type { ResolvedGatedAttentionOptions } from './options.ts';

/** Sizes of an attention layer that decide those of its gate. */
export interface GatedSizes {
  readonly hiddenSize: number;
  /** Query heads, H. */
  readonly heads: number;
  /** Key/value heads, Hkv; divides `heads`. */
  readonly kvHeads: number;
  /** D */
  readonly headSize: number;
}

/** What a gate acts on, and the width of its logits. */
export interface GateShape {
  /** Heads at the gate's position; at g5, the layer's output, one. */
  readonly heads: number;
  /** Elements of one head there. */
  readonly headSize: number;
  /** Logits per head. */
  readonly width: number;
}

/** @throws ArgumentError for options that contradict one another, or sizes that do not fit */
export function gateShape(
  { hiddenSize, heads, kvHeads, headSize }: GatedSizes,
  { source, position, granularity, headSpecific }: ResolvedGatedAttentionOptions,
): GateShape {
  if (heads % kvHeads !== 0) throw new ArgumentError('GatedAttention: kvHeads', kvHeads, `a divisor of ${heads} heads`);
  if (granularity === 'headwise' || !headSpecific) {
    const given = granularity === 'headwise' ? granularity : 'a gate that heads share';
    if (position === 'g5')
      throw new ArgumentError('GatedAttention: position', `g5 with ${given}`, 'g1 to g4: g5 has no heads');
    if (source === 'self')
      throw new ArgumentError('GatedAttention: source', `self with ${given}`, 'elementwise gates of each head');
  }
  const count = position === 'g5' ? 1 : position === 'g1' || position === 'g4' ? heads : kvHeads;
  const size = position === 'g5' ? hiddenSize : headSize;
  return { heads: count, headSize: size, width: granularity === 'elementwise' ? size : 1 };
}

/** Parameters that the gate adds to a layer: d H D or d H for the paper's. @throws as {@link gateShape} */
export function gateParameters(sizes: GatedSizes, options: ResolvedGatedAttentionOptions): number {
  const { heads, headSize, width } = gateShape(sizes, options);
  switch (options.source) {
    case 'input':
      return sizes.hiddenSize * heads * width;
    case 'parameter':
      return heads * width;
    case 'norm':
      return headSize;
    case 'self':
    case 'none':
      return 0;
  }
}
