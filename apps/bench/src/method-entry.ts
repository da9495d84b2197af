import type { GivenOptions, Method, ModelHandle, OptionSchema, OptionsOf, Phase } from '@saccade/core';

/** A question about an image. */
export interface ImageQuestion {
  /** RGB, rows from the top. */
  readonly image: {
    readonly width: number;
    readonly height: number;
    readonly channels: 3;
    readonly data: Uint8Array;
  };
  readonly text: string;
}

/** Answers a question about an image with a model: a procedure that runs it more than once, or sees another image. */
export type AnswerImage = (
  model: ModelHandle,
  question: ImageQuestion,
  options: { readonly maxTokens: number; readonly signal: AbortSignal },
) => Promise<string>;

/**
 * How a method (or a baseline) appears in the bench. Method packages export one from their `./bench` subpath, importing
 * types only.
 */
export interface MethodEntry<Schema extends OptionSchema = OptionSchema> {
  /** The bare slug: what results call `method` and the command line takes. */
  readonly name: string;
  /** As a person writes it. */
  readonly title: string;
  /** One sentence: what it does for its user. */
  readonly description: string;
  /** The paper, as `arXiv 2410.05076`; absent for baselines. */
  readonly paper?: string;
  /** `method`: a paper's; `baseline`: a plain competitor at the same budget; `oracle`: the best of its kind, not usable. */
  readonly role: 'method' | 'baseline' | 'oracle';
  /** Phases that it changes. A scenario fits if it measures one of them. */
  readonly phases: readonly Phase[];
  /** `vision`: it makes sense only where prompts hold images. Default: with every model. */
  readonly needs?: 'vision';
  /** The one schema of its options. */
  readonly options: Schema;
  /** The method itself, or undefined for the dense run. Options are full and validated. */
  create(options: OptionsOf<Schema>): Method | undefined;
  /** Of a procedure around a model that sees, in place of a method: how it answers. Options are full and validated. */
  answer?(options: OptionsOf<Schema>): AnswerImage;
  /**
   * The options at which the method reads the share `budget` (0 to 1] of `contextLength` tokens. Absent where the method
   * has no budget: it then runs once.
   *
   * @param grid Tokens along each axis, slowest first, where they lie on a grid: their product is the length.
   */
  atBudget?(budget: number, contextLength: number, grid?: readonly number[]): Partial<GivenOptions<Schema>>;
}

/** The run without any method; every table has it. */
export const denseEntry: MethodEntry = {
  name: 'dense',
  title: 'Dense attention',
  description: 'The model as it is: every token attends to all earlier ones.',
  role: 'baseline',
  phases: ['prefill', 'decode'],
  options: {},
  create: () => undefined,
};
