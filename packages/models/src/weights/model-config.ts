import { type RopeScaling, SaccadeError } from '@saccade/core';

/** Configuration of a Llama-family network, the same for every file format. */
export interface LlamaConfig {
  readonly architecture: 'llama';
  /** Rows of the embedding; at least the tokenizer's vocabulary. */
  readonly vocabularySize: number;
  readonly hiddenSize: number;
  readonly layers: number;
  /** Query heads, H. */
  readonly heads: number;
  /** Key/value heads, Hkv. */
  readonly kvHeads: number;
  /** D. */
  readonly headSize: number;
  readonly intermediateSize: number;
  readonly ropeTheta: number;
  readonly ropeScaling?: RopeScaling;
  /**
   * Which elements of a head rotate together: i and i + D/2 (`half`, Hugging Face's checkpoints) or 2i and 2i + 1
   * (`interleaved`, GGUF, whose converter permutes the rows of the query and key projections).
   */
  readonly ropeLayout: 'half' | 'interleaved';
  readonly rmsNormEpsilon: number;
  /** Whether the output head is the embedding. */
  readonly tieWordEmbeddings: boolean;
  /** Most tokens the model was trained for. */
  readonly contextLength: number;
  readonly bosId?: number;
  /** Ids that end a text. */
  readonly eosIds: readonly number[];
}

/** Configuration of any supported network; `architecture` tells them apart. */
export type ModelConfig = LlamaConfig;

/**
 * A model's configuration cannot be used: `missing` (a file or value is not there), `invalid` (a value is of the wrong
 * kind or contradicts another) or `unsupported` (it asks for something that is not implemented).
 */
export class ModelConfigError extends SaccadeError {
  constructor(code: 'missing' | 'invalid' | 'unsupported', message: string, options?: { cause?: unknown }) {
    super(code, message, options);
  }
}

/**
 * Checks that the sizes of a configuration fit together.
 * @param where Name of the file, for messages.
 * @throws ModelConfigError `invalid`
 */
export function checkLlamaConfig(where: string, config: LlamaConfig): LlamaConfig {
  const { heads, kvHeads, headSize, vocabularySize, bosId, eosIds } = config;
  if (heads % kvHeads !== 0) {
    throw new ModelConfigError(
      'invalid',
      `${where}: ${heads} query heads do not divide into ${kvHeads} key/value heads.`,
    );
  }
  if (headSize % 2 !== 0) throw new ModelConfigError('invalid', `${where}: the head size ${headSize} is odd.`);
  for (const id of [bosId ?? 0, ...eosIds]) {
    if (id >= vocabularySize) {
      throw new ModelConfigError(
        'invalid',
        `${where}: the token ${id} is outside the vocabulary of ${vocabularySize}.`,
      );
    }
  }
  return config;
}
