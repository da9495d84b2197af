/** Where a denoising run stands. */
export interface DenoisingStep {
  /** 0-based, over all stages of the run. A solver that runs the model twice in one step gives both passes the same index. */
  readonly index: number;
  /** Steps of the whole run. */
  readonly count: number;
  /** 0-based number of the stage of the run's schedule. */
  readonly stage: number;
  /** What the model is told of the noise: diffusion models count down from their training steps. Undefined in masked language models. */
  readonly timestep?: number | undefined;
  /** In masked language models: leading tokens of the sequence that were given and are never masked. */
  readonly promptTokens?: number | undefined;
}

/** How the tokens of a model of images or videos lie: frame by frame, row by row. */
export interface TokenGrid {
  /** Frames of tokens; undefined in models of images. */
  readonly frames?: number | undefined;
  /** Rows of tokens. */
  readonly height: number;
  /** Tokens per row. */
  readonly width: number;
  /** Text tokens in the same sequence; 0 where text is read by cross-attention or not at all. */
  readonly textTokens: number;
  /** Whether the text tokens stand before the grid's. */
  readonly textFirst: boolean;
}

/** Tokens of a sequence: those of the grid and of the text. */
export function gridTokens({ frames = 1, height, width, textTokens }: TokenGrid): number {
  return frames * height * width + textTokens;
}
