import { describe, expect, it } from 'vitest';
import { huggingFaceConfig } from '../src/weights/huggingface-config.ts';
import { ModelConfigError } from '../src/weights/model-config.ts';
import { openWeights } from '../src/weights/open-weights.ts';
import { readModelConfig } from '../src/weights/read-model-config.ts';
import { goldenModel } from './golden-folder.ts';

const configOf = async (name: string) => {
  const files = await goldenModel(name);
  const weights = await openWeights(files);
  try {
    return await readModelConfig(weights, files);
  } finally {
    await weights.close();
  }
};

const common = {
  architecture: 'llama',
  vocabularySize: 160,
  hiddenSize: 64,
  layers: 2,
  heads: 4,
  kvHeads: 2,
  headSize: 16,
  intermediateSize: 96,
  ropeTheta: 10000,
  ropeLayout: 'half',
  rmsNormEpsilon: 1e-5,
  tieWordEmbeddings: true,
  contextLength: 256,
  bosId: 1,
  eosIds: [2, 0],
};

describe('the configuration of a checkpoint', () => {
  it.each([
    ['llama-untied', { layers: 3, tieWordEmbeddings: false }],
    ['llama-tied-bf16', {}],
    ['llama-linear', { ropeScaling: { type: 'linear', factor: 2.5 } }],
    [
      'llama-llama3',
      {
        ropeTheta: 500000,
        ropeScaling: { type: 'llama3', factor: 4, lowFrequencyFactor: 1, highFrequencyFactor: 4, originalContext: 16 },
      },
    ],
    ['llama-mha-bf16', { kvHeads: 4, headSize: 32, tieWordEmbeddings: false }],
  ])('%s', async (name, differences) => {
    expect(await configOf(name)).toEqual({ ...common, ...differences });
  });

  it('of a GGUF file', async () => {
    const { rmsNormEpsilon, ...rest } = await configOf('llama-gguf/model.gguf');
    expect(rmsNormEpsilon).toBe(Math.fround(1e-5));
    const { rmsNormEpsilon: _, ...expected } = common;
    const differences = { vocabularySize: 700, intermediateSize: 128, ropeLayout: 'interleaved', eosIds: [2] };
    expect(rest).toEqual({ ...expected, ...differences });
  });
});

describe('config.json', () => {
  const minimal = {
    model_type: 'llama',
    vocab_size: 100,
    hidden_size: 64,
    num_hidden_layers: 2,
    num_attention_heads: 4,
    intermediate_size: 96,
  };

  it("has transformers' defaults where it is silent", () => {
    expect(huggingFaceConfig(minimal)).toEqual({
      architecture: 'llama',
      vocabularySize: 100,
      hiddenSize: 64,
      layers: 2,
      heads: 4,
      kvHeads: 4,
      headSize: 16,
      intermediateSize: 96,
      ropeTheta: 10000,
      ropeLayout: 'half',
      rmsNormEpsilon: 1e-6,
      tieWordEmbeddings: false,
      contextLength: 2048,
      eosIds: [],
    });
  });

  it('of older checkpoints gives rope_theta and rope_scaling by themselves', () => {
    const linear = { ...minimal, rope_theta: 5e5, rope_scaling: { type: 'linear', factor: 2 } };
    expect(huggingFaceConfig(linear)).toMatchObject({ ropeTheta: 5e5, ropeScaling: { type: 'linear', factor: 2 } });
    expect(huggingFaceConfig({ ...minimal, rope_theta: 1e5, rope_scaling: null }).ropeTheta).toBe(1e5);
    const dynamic = { ...minimal, max_position_embeddings: 512, rope_scaling: { rope_type: 'dynamic', factor: 4 } };
    expect(huggingFaceConfig(dynamic).ropeScaling).toEqual({ type: 'dynamic', factor: 4, originalContext: 512 });
    const yarn = {
      rope_type: 'yarn',
      factor: 4,
      original_max_position_embeddings: 128,
      beta_fast: 16,
      truncate: false,
    };
    expect(huggingFaceConfig({ ...minimal, rope_scaling: yarn }).ropeScaling).toEqual({
      type: 'yarn',
      factor: 4,
      originalContext: 128,
      betaFast: 16,
      truncate: false,
    });
  });

  it('yields to generation_config.json about the end of a text', () => {
    expect(huggingFaceConfig({ ...minimal, eos_token_id: 2 }).eosIds).toEqual([2]);
    expect(huggingFaceConfig({ ...minimal, eos_token_id: 2 }, { eos_token_id: [3, 4] }).eosIds).toEqual([3, 4]);
  });

  it.each([
    ['unsupported', 'model_type', { model_type: 'mamba' }],
    ['unsupported', 'hidden_act', { hidden_act: 'gelu' }],
    ['unsupported', 'attention_bias', { attention_bias: true }],
    ['unsupported', 'rope_type', { rope_scaling: { rope_type: 'longrope', factor: 2 } }],
    ['missing', 'vocab_size', { vocab_size: undefined }],
    ['missing', 'factor', { rope_scaling: { rope_type: 'linear' } }],
    ['invalid', 'num_hidden_layers', { num_hidden_layers: 2 ** 40 }],
    ['invalid', 'hidden_size', { hidden_size: '64' }],
    ['invalid', 'head_dim', { num_attention_heads: 5 }],
    ['invalid', 'do not divide', { num_key_value_heads: 3 }],
    ['invalid', 'is odd', { head_dim: 15 }],
    ['invalid', 'outside the vocabulary', { eos_token_id: 100 }],
    ['invalid', 'rms_norm_eps', { rms_norm_eps: -1 }],
    ['invalid', 'tie_word_embeddings', { tie_word_embeddings: 'yes' }],
  ])('is refused as %s: %s', (code, message, differences) => {
    const act = () => huggingFaceConfig({ ...minimal, ...differences });
    expect(act).toThrow(ModelConfigError);
    expect(act).toThrow(expect.objectContaining({ code, message: expect.stringContaining(message) }));
  });

  it('is refused where it is not an object', () => {
    expect(() => huggingFaceConfig([])).toThrow(ModelConfigError);
  });
});
