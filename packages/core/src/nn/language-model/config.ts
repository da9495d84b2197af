import { ArgumentError } from '../../errors.ts';
import type { RopeScaling } from '../../ops/rope-table.ts';

/** A Llama-style causal language model. */
export interface CausalLmConfig {
  /** Rows of the embedding. */
  readonly vocabularySize: number;
  readonly hiddenSize: number;
  readonly layers: number;
  /** Query heads, H. */
  readonly heads: number;
  /** Key/value heads, Hkv, which divide H. Default H. */
  readonly kvHeads?: number;
  /** D, even. Default hiddenSize / H. */
  readonly headSize?: number;
  readonly intermediateSize: number;
  /** Most tokens of a row. */
  readonly contextLength: number;
  /** Base of the rotary frequencies. Default 10,000. */
  readonly ropeTheta?: number;
  readonly ropeScaling?: RopeScaling;
  /** Default 1e-5. */
  readonly normEpsilon?: number;
  /** Queries and keys are normed per head before they rotate, as in Qwen3. Default false. */
  readonly queryKeyNorm?: boolean;
  /** Whether the output head's matrix is the embedding. Default true. */
  readonly tieWordEmbeddings?: boolean;
  /** Standard deviation of all matrices at the beginning. Default 0.02, as Hugging Face's Llama. */
  readonly initializerRange?: number;
}

/** A configuration with its defaults filled in. */
export type FullCausalLmConfig = Required<Omit<CausalLmConfig, 'ropeScaling'>> & Pick<CausalLmConfig, 'ropeScaling'>;

/** @throws ArgumentError for a value out of its range */
export function fullCausalLmConfig(config: CausalLmConfig): FullCausalLmConfig {
  const { heads, hiddenSize } = config;
  const full: FullCausalLmConfig = {
    kvHeads: heads,
    headSize: hiddenSize / heads,
    ropeTheta: 10_000,
    normEpsilon: 1e-5,
    queryKeyNorm: false,
    tieWordEmbeddings: true,
    initializerRange: 0.02,
    ...config,
  };
  for (const name of [
    'vocabularySize',
    'hiddenSize',
    'heads',
    'kvHeads',
    'intermediateSize',
    'contextLength',
  ] as const) {
    check(name, full[name], 'an integer of 1 or more', Number.isInteger(full[name]) && full[name] >= 1);
  }
  check('layers', full.layers, 'an integer of 0 or more', Number.isInteger(full.layers) && full.layers >= 0);
  check('kvHeads', full.kvHeads, `a divisor of ${heads}`, heads % full.kvHeads === 0);
  check('headSize', full.headSize, 'an even integer', Number.isInteger(full.headSize) && full.headSize % 2 === 0);
  check('initializerRange', full.initializerRange, 'a number of 0 or more', full.initializerRange >= 0);
  return full;
}

function check(name: string, value: number, allowed: string, holds: boolean): void {
  if (!(Number.isFinite(value) && holds)) throw new ArgumentError(`CausalLm: ${name}`, value, allowed);
}

/**
 * The `config.json` under which Hugging Face's transformers and `@saccade/models` load the model's safetensors file: a Llama, or
 * with {@link CausalLmConfig.queryKeyNorm} a Qwen3. It knows standard layers alone.
 */
export function huggingFaceConfig(config: CausalLmConfig): Readonly<Record<string, unknown>> {
  const full = fullCausalLmConfig(config);
  return {
    architectures: [full.queryKeyNorm ? 'Qwen3ForCausalLM' : 'LlamaForCausalLM'],
    model_type: full.queryKeyNorm ? 'qwen3' : 'llama',
    vocab_size: full.vocabularySize,
    hidden_size: full.hiddenSize,
    intermediate_size: full.intermediateSize,
    num_hidden_layers: full.layers,
    num_attention_heads: full.heads,
    num_key_value_heads: full.kvHeads,
    head_dim: full.headSize,
    max_position_embeddings: full.contextLength,
    rope_theta: full.ropeTheta,
    ...(full.ropeScaling ? { rope_scaling: huggingFaceScaling(full.ropeScaling) } : {}),
    rms_norm_eps: full.normEpsilon,
    hidden_act: 'silu',
    attention_bias: false,
    mlp_bias: false,
    tie_word_embeddings: full.tieWordEmbeddings,
    initializer_range: full.initializerRange,
    bos_token_id: null,
    eos_token_id: null,
  };
}

const scalingNames = {
  factor: 'factor',
  originalContext: 'original_max_position_embeddings',
  lowFrequencyFactor: 'low_freq_factor',
  highFrequencyFactor: 'high_freq_factor',
  attentionFactor: 'attention_factor',
  mscale: 'mscale',
  mscaleAllDimensions: 'mscale_all_dim',
  betaFast: 'beta_fast',
  betaSlow: 'beta_slow',
  truncate: 'truncate',
} as const;

function huggingFaceScaling({ type, ...values }: RopeScaling): Record<string, unknown> {
  const named = Object.entries(values).map(([name, value]) => [scalingNames[name as keyof typeof scalingNames], value]);
  return { rope_type: type, ...Object.fromEntries(named) };
}
