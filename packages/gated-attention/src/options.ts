import { boolean, choice, defineOptions, type GivenOptions, type OptionsOf } from '@saccade/core';

/** Every option of gated attention: default, range, meaning. */
export const gatedAttentionOptions = defineOptions({
  source: choice(['input', 'parameter', 'self', 'norm', 'none'], {
    default: 'input',
    description:
      'What the gate comes from: the layer’s normed input (the paper’s gate), a learned parameter, what it acts on itself; an RMS norm in its place; or no gate.',
  }),
  position: choice(['g1', 'g2', 'g3', 'g4', 'g5'], {
    default: 'g1',
    description:
      'What it acts on: the output of attention (g1), values (g2), keys (g3), queries (g4), or the output projection’s result (g5).',
  }),
  granularity: choice(['elementwise', 'headwise'], {
    default: 'elementwise',
    description: 'A gate for each element of a head, or one for the head.',
  }),
  headSpecific: boolean({
    default: true,
    description: 'Each head has a gate of its own; otherwise the mean of the heads’ logits gates them all.',
  }),
  mode: choice(['multiplicative', 'additive'], {
    default: 'multiplicative',
    description: 'Whether the activated logits multiply, or are added.',
  }),
  activation: choice(['sigmoid', 'silu', 'nsSigmoid', 'identity'], {
    default: 'sigmoid',
    description: 'Of the logits; nsSigmoid is 0.5 + 0.5 sigmoid, a gate that never closes.',
  }),
});

/** What a caller may give; everything has a default. */
export type GatedAttentionOptions = GivenOptions<typeof gatedAttentionOptions>;

/** All options, defaults filled in. */
export type ResolvedGatedAttentionOptions = OptionsOf<typeof gatedAttentionOptions>;
