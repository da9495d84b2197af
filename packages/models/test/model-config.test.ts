import { describe, expect, it } from 'vitest';
import { huggingFaceConfig } from '../src/weights/huggingface-config.ts';
import { commonConfig, ModelConfigError, type RotaryFrequencies } from '../src/weights/model-config.ts';
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

const rotary = (global: RotaryFrequencies, size = 16) => ({ kind: 'rotary', size, layout: 'half', global });

const common = {
  ...commonConfig,
  architecture: 'llama',
  vocabularySize: 160,
  hiddenSize: 64,
  layers: 2,
  heads: 4,
  kvHeads: 2,
  headSize: 16,
  intermediateSize: 96,
  norm: { kind: 'rms', epsilon: 1e-5, placement: 'before' },
  positions: rotary({ theta: 10000 }),
  layerKinds: ['global', 'global'],
  tieWordEmbeddings: true,
  contextLength: 256,
  bosId: 1,
  eosIds: [2, 0],
};

describe('the configuration of a checkpoint', () => {
  it.each([
    ['llama-untied', { layers: 3, layerKinds: ['global', 'global', 'global'], tieWordEmbeddings: false }],
    ['llama-tied-bf16', {}],
    ['llama-linear', { positions: rotary({ theta: 10000, scaling: { type: 'linear', factor: 2.5 } }) }],
    [
      'llama-llama3',
      {
        positions: rotary({
          theta: 500000,
          scaling: { type: 'llama3', factor: 4, lowFrequencyFactor: 1, highFrequencyFactor: 4, originalContext: 16 },
        }),
      },
    ],
    ['llama-mha-bf16', { kvHeads: 4, headSize: 32, positions: rotary({ theta: 10000 }, 32), tieWordEmbeddings: false }],
  ])('%s', async (name, differences) => {
    expect(await configOf(name)).toEqual({ ...common, ...differences });
  });

  it('of a GGUF file', async () => {
    expect(await configOf('llama-gguf/model.gguf')).toEqual({
      ...common,
      vocabularySize: 700,
      intermediateSize: 128,
      norm: { ...common.norm, epsilon: Math.fround(1e-5) },
      positions: { ...rotary({ theta: 10000 }), layout: 'interleaved' },
      eosIds: [2],
    });
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
      ...commonConfig,
      architecture: 'llama',
      vocabularySize: 100,
      hiddenSize: 64,
      layers: 2,
      heads: 4,
      kvHeads: 4,
      headSize: 16,
      intermediateSize: 96,
      norm: { kind: 'rms', epsilon: 1e-6, placement: 'before' },
      positions: rotary({ theta: 10000 }),
      layerKinds: ['global', 'global'],
      tieWordEmbeddings: false,
      contextLength: 2048,
      eosIds: [],
    });
  });

  it('of older checkpoints gives rope_theta and rope_scaling by themselves', () => {
    const linear = { ...minimal, rope_theta: 5e5, rope_scaling: { type: 'linear', factor: 2 } };
    const frequencies = (config: object) =>
      (huggingFaceConfig(config).positions as { global: RotaryFrequencies }).global;
    expect(frequencies(linear)).toEqual({ theta: 5e5, scaling: { type: 'linear', factor: 2 } });
    expect(frequencies({ ...minimal, rope_theta: 1e5, rope_scaling: null })).toEqual({ theta: 1e5 });
    const dynamic = { ...minimal, max_position_embeddings: 512, rope_scaling: { rope_type: 'dynamic', factor: 4 } };
    expect(frequencies(dynamic).scaling).toEqual({ type: 'dynamic', factor: 4, originalContext: 512 });
    const yarn = {
      rope_type: 'yarn',
      factor: 4,
      original_max_position_embeddings: 128,
      beta_fast: 16,
      truncate: false,
    };
    expect(frequencies({ ...minimal, rope_scaling: yarn }).scaling).toEqual({
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
    ['unsupported', 'hidden_act', { hidden_act: 'relu6' }],
    ['invalid', 'attention_bias', { attention_bias: 'yes' }],
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

describe('config.json of the other architectures, as older files have it', () => {
  const sizes = {
    vocab_size: 100,
    hidden_size: 64,
    num_hidden_layers: 7,
    num_attention_heads: 4,
    intermediate_size: 96,
  };

  it('Gemma 3: every sixth layer is global, with a base of its own', () => {
    const config = huggingFaceConfig({
      ...sizes,
      model_type: 'gemma3_text',
      rope_theta: 1e6,
      rope_local_base_freq: 1e4,
      rope_scaling: { rope_type: 'linear', factor: 8 },
      sliding_window: 512,
    });
    expect(config.layerKinds.map((kind) => kind === 'global')).toEqual([0, 0, 0, 0, 0, 1, 0].map(Boolean));
    expect(config).toMatchObject({
      slidingWindow: 512,
      headSize: 256,
      attentionScale: 1 / 16,
      embeddingScale: 8,
      tieWordEmbeddings: true,
      norm: { placement: 'both' },
      storage: { normOffset: 1 },
      positions: { global: { theta: 1e6, scaling: { type: 'linear', factor: 8 } }, window: { theta: 1e4 } },
    });
  });

  it('Qwen2: no window but where it is switched on, in the layers behind the first ones', () => {
    const qwen = { ...sizes, model_type: 'qwen2', rope_theta: 1e6, sliding_window: 32, max_window_layers: 5 };
    expect(huggingFaceConfig(qwen).layerKinds).not.toContain('window');
    expect(huggingFaceConfig(qwen).slidingWindow).toBeUndefined();
    const windowed = huggingFaceConfig({ ...qwen, use_sliding_window: true });
    expect(windowed.layerKinds.lastIndexOf('global')).toBe(4);
    expect(windowed).toMatchObject({ slidingWindow: 32, biases: { qkv: true, output: false, mlp: false } });
  });

  it('Qwen3 and Llama: with a gate on the output of attention, in the layout that the file names', () => {
    const qwen = { ...sizes, model_type: 'qwen3' };
    expect(huggingFaceConfig(qwen).outputGate).toBeUndefined();
    const gated = huggingFaceConfig({
      ...qwen,
      headwise_attn_output_gate: true,
      elementwise_attn_output_gate: false,
      use_qk_norm: false,
      qkv_bias: true,
    });
    expect(gated).toMatchObject({ outputGate: 'headwise', queryKeyNorm: false, storage: { outputGate: 'grouped' } });
    expect(gated.biases).toEqual({ qkv: true, output: false, mlp: false });
    expect(huggingFaceConfig({ ...sizes, model_type: 'llama', headwise_attn_output_gate: true }).outputGate).toBe(
      'headwise',
    );
    const elementwise = { ...qwen, elementwise_attn_output_gate: true };
    const apart = huggingFaceConfig({ ...elementwise, attn_output_gate_layout: 'separate' });
    expect(apart).toMatchObject({ outputGate: 'elementwise', storage: { outputGate: 'separate' } });
    expect(() => huggingFaceConfig({ ...elementwise, headwise_attn_output_gate: true })).toThrow(
      /headwise_attn_output_gate/,
    );
    expect(() => huggingFaceConfig({ ...elementwise, attn_output_gate_layout: 'perRow' })).toThrow(/layout.*perHead/);
  });

  it('GPT-NeoX: the share of a head that rotates has a name of its own', () => {
    const config = huggingFaceConfig({ ...sizes, model_type: 'gpt_neox', rotary_pct: 0.5, rotary_emb_base: 5000 });
    expect(config.positions).toEqual({ kind: 'rotary', size: 8, layout: 'half', global: { theta: 5000 } });
    expect(config).toMatchObject({ parallelBranches: true, storage: { qkv: 'jointByHead' } });
  });

  it.each([
    ['gemma3_text', 'attn_logit_softcapping', 50],
    ['gemma3_text', 'use_bidirectional_attention', true],
    ['gemma3_text', 'layer_types', ['chunked_attention']],
    ['bert', 'is_decoder', true],
    ['bert', 'position_embedding_type', 'relative_key'],
  ])('%s refuses %s: %j', (kind, name, value) => {
    const act = () => huggingFaceConfig({ ...sizes, model_type: kind, [name]: value });
    expect(act).toThrow(expect.objectContaining({ code: 'unsupported', message: expect.stringContaining(name) }));
  });

  it('refuses kinds of layers that are too few, and windows without a size', () => {
    const gemma = { ...sizes, model_type: 'gemma3_text', layer_types: ['full_attention'] };
    expect(() => huggingFaceConfig(gemma)).toThrow(/1 kinds of layers are given for 7 layers/);
    const qwen = { ...sizes, model_type: 'qwen2', layer_types: new Array(7).fill('sliding_attention') };
    expect(() => huggingFaceConfig(qwen)).toThrow(/need its size/);
  });
});
