import {
  boolean,
  defineOptions,
  type GivenOptions,
  integer,
  list,
  type ModelFacts,
  number,
  type OptionsOf,
} from '@saccade/core';

const share = { min: 0, max: 1 } as const;

/** Every option of VAR: default, range, meaning. */
export const varOptions = defineOptions({
  sinkDimensions: list(integer({ min: 0 }), {
    default: null,
    minLength: 1,
    description:
      'Hidden dimensions that are extreme in sink tokens. By default the two that are so at the first token, found when a run starts.',
  }),
  threshold: number({
    default: null,
    min: 0,
    description:
      'A token is a sink where its normalised residual exceeds this in a sink dimension, tau. By default 20, in hidden sizes under 1,600 half of what can be reached, sqrt(size) / 2.',
  }),
  minNonSinkRatio: number({
    default: 0.5,
    ...share,
    description:
      'A head looks at the image if at least this share of its visual mass is on tokens that are no sinks, rho.',
  }),
  minVisualMass: number({
    default: 0.2,
    ...share,
    description: 'And if the image gets at least this much of its attention.',
  }),
  keep: number({
    default: 0.6,
    ...share,
    description: 'Share of their attention that sinks keep; the rest goes to the other image tokens, in proportion.',
  }),
  firstLayer: integer({ default: 2, min: 0, description: 'First layer that is changed, 0-based.' }),
  skipLastLayer: boolean({ default: true, description: 'The last layer stays as it is.' }),
});

/** What a caller may give; everything has a default. */
export type VarOptions = GivenOptions<typeof varOptions>;

/** All options, defaults filled in. */
export type ResolvedVarOptions = OptionsOf<typeof varOptions>;

/** The threshold in a model. A normalised residual cannot exceed sqrt(hidden size) in any dimension. */
export function sinkThreshold(
  { threshold }: ResolvedVarOptions,
  { hiddenSize }: Pick<ModelFacts, 'hiddenSize'>,
): number {
  return threshold ?? Math.min(20, Math.sqrt(hiddenSize) / 2);
}
