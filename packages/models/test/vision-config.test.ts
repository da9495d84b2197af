import { describe, expect, it } from 'vitest';
import type { ModelFiles } from '../src/resolve/types.ts';
import { adjustProcessor } from '../src/vision-language/image-settings.ts';
import { imageTokenCount } from '../src/vision-language/place-images.ts';
import { readVisionLanguageConfig } from '../src/vision-language/read-vision-language-config.ts';

function files(contents: Readonly<Record<string, unknown>>): ModelFiles {
  return {
    name: 'it',
    source: 'local',
    location: 'it',
    names: Object.keys(contents),
    async open(name) {
      const bytes = new TextEncoder().encode(JSON.stringify(contents[name]));
      return { name, size: bytes.length, read: async () => bytes, close: async () => undefined };
    },
  };
}

/** As the published LLaVA-1.5 7B has it: what is left out are the values of Llama 2. */
const llava = {
  model_type: 'llava',
  ignore_index: -100,
  image_token_index: 32000,
  pad_token_id: 32001,
  projector_hidden_act: 'gelu',
  text_config: {
    model_type: 'llama',
    max_position_embeddings: 4096,
    rms_norm_eps: 1e-5,
    torch_dtype: 'float16',
    vocab_size: 32064,
  },
  tie_word_embeddings: false,
  vision_config: {
    hidden_size: 1024,
    image_size: 336,
    intermediate_size: 4096,
    model_type: 'clip_vision_model',
    num_attention_heads: 16,
    num_hidden_layers: 24,
    patch_size: 14,
    projection_dim: 768,
    vocab_size: 32000,
  },
  vision_feature_layer: -2,
  vision_feature_select_strategy: 'default',
};

const clipProcessor = {
  image_processor_type: 'CLIPImageProcessor',
  crop_size: { height: 336, width: 336 },
  do_center_crop: true,
  do_convert_rgb: true,
  do_normalize: true,
  do_rescale: true,
  do_resize: true,
  image_mean: [0.48145466, 0.4578275, 0.40821073],
  image_std: [0.26862954, 0.26130258, 0.27577711],
  resample: 3,
  rescale_factor: 0.00392156862745098,
  size: { shortest_edge: 336 },
};

/** As the published SmolVLM 256M has it, as far as it is read. */
const smolVlm = {
  model_type: 'idefics3',
  image_token_id: 49190,
  scale_factor: 4,
  tie_word_embeddings: false,
  text_config: {
    model_type: 'llama',
    head_dim: 64,
    hidden_size: 576,
    intermediate_size: 1536,
    max_position_embeddings: 8192,
    num_attention_heads: 9,
    num_hidden_layers: 30,
    num_key_value_heads: 3,
    rms_norm_eps: 1e-5,
    rope_theta: 100000,
    vocab_size: 49280,
  },
  vision_config: {
    model_type: 'idefics3',
    hidden_size: 768,
    image_size: 512,
    num_attention_heads: 12,
    patch_size: 16,
  },
};

const smolProcessor = {
  image_processor_type: 'Idefics3ImageProcessor',
  do_image_splitting: true,
  image_mean: [0.5, 0.5, 0.5],
  image_std: [0.5, 0.5, 0.5],
  max_image_size: { longest_edge: 512 },
  resample: 1,
  rescale_factor: 0.00392156862745098,
  size: { longest_edge: 2048 },
};

/** As the published Qwen2-VL 2B has it. */
const qwen = {
  model_type: 'qwen2_vl',
  vision_start_token_id: 151652,
  vision_end_token_id: 151653,
  image_token_id: 151655,
  bos_token_id: 151643,
  eos_token_id: 151645,
  hidden_act: 'silu',
  hidden_size: 1536,
  intermediate_size: 8960,
  max_position_embeddings: 32768,
  max_window_layers: 28,
  num_attention_heads: 12,
  num_hidden_layers: 28,
  num_key_value_heads: 2,
  rms_norm_eps: 1e-6,
  rope_theta: 1000000,
  sliding_window: 32768,
  tie_word_embeddings: true,
  use_sliding_window: false,
  vision_config: {
    depth: 32,
    embed_dim: 1280,
    mlp_ratio: 4,
    num_heads: 16,
    in_chans: 3,
    hidden_size: 1536,
    patch_size: 14,
    spatial_merge_size: 2,
    spatial_patch_size: 14,
    temporal_patch_size: 2,
  },
  rope_scaling: { type: 'mrope', mrope_section: [16, 24, 24] },
  vocab_size: 151936,
};

const qwenProcessor = {
  image_processor_type: 'Qwen2VLImageProcessor',
  min_pixels: 3136,
  max_pixels: 12845056,
  patch_size: 14,
  temporal_patch_size: 2,
  merge_size: 2,
};

describe('configurations of published checkpoints', () => {
  it('LLaVA-1.5: 576 tokens of an image, the layer before the last, Llama 2', async () => {
    const config = await readVisionLanguageConfig(
      files({ 'config.json': llava, 'preprocessor_config.json': clipProcessor }),
    );
    expect(config).toMatchObject({
      architecture: 'llava',
      imageId: 32000,
      text: { hiddenSize: 4096, layers: 32, heads: 32, kvHeads: 32, intermediateSize: 11008, vocabularySize: 32064 },
      vision: {
        hiddenSize: 1024,
        layers: 23,
        activation: 'geluSigmoid',
        classToken: 'dropped',
        preNorm: true,
        postNorm: false,
        patchBias: false,
        positions: { kind: 'learned', side: 24 },
      },
      processor: { kind: 'crop', filter: 'bicubic', resize: { shortestEdge: 336 }, crop: { height: 336, width: 336 } },
    });
  });

  it('SmolVLM: tiles of 64 tokens', async () => {
    const config = await readVisionLanguageConfig(
      files({ 'config.json': smolVlm, 'preprocessor_config.json': smolProcessor }),
    );
    expect(config).toMatchObject({
      text: { hiddenSize: 576, kvHeads: 3, tieWordEmbeddings: false, positions: { global: { theta: 100000 } } },
      vision: { layers: 12, intermediateSize: 3072, group: 4, positions: { side: 32 }, activation: 'geluTanh' },
      processor: { kind: 'tiles', filter: 'lanczos', longestEdge: 2048, tile: 512, split: true },
    });
    const tokens = { rows: 8, columns: 8, leading: 0, tileRows: 1, tileColumns: 2 };
    expect(imageTokenCount(tokens)).toBe(192);
    const text = config.placeholder('<image>', { ...tokens, rows: 1, columns: 1 });
    expect(text).toBe(
      '<fake_token_around_image><row_1_col_1><image><fake_token_around_image><row_1_col_2><image>\n\n<fake_token_around_image><global-img><image><fake_token_around_image>',
    );
    expect(adjustProcessor(config, { split: false }).processor).toMatchObject({ split: false });
    expect(() => adjustProcessor(config, { resolution: { maximumPixels: 5 } })).toThrow(/one size/);
    expect(() => adjustProcessor(config, { maximumPixels: 0 })).toThrow(/maximumPixels/);
  });

  it('Qwen2-VL: values of the language model beside the others, sections of its frequencies', async () => {
    const config = await readVisionLanguageConfig(
      files({ 'config.json': qwen, 'preprocessor_config.json': qwenProcessor }),
    );
    expect(config).toMatchObject({
      text: {
        architecture: 'qwen2',
        hiddenSize: 1536,
        layers: 28,
        kvHeads: 2,
        headSize: 128,
        tieWordEmbeddings: true,
        positions: { sections: [16, 24, 24], global: { theta: 1000000 } },
        biases: { qkv: true },
        eosIds: [151645],
      },
      vision: {
        hiddenSize: 1280,
        layers: 32,
        intermediateSize: 5120,
        frames: 2,
        group: 2,
        positions: { kind: 'rotary' },
      },
      processor: { kind: 'dynamic', minimumPixels: 3136, maximumPixels: 12845056, multiple: 28 },
    });
    expect(adjustProcessor(config, { resolution: { maximumPixels: 50000 } }).processor).toMatchObject({
      minimumPixels: 3136,
      maximumPixels: 50000,
    });
    expect(() => adjustProcessor(config, { resolution: { maximumPixels: 5 } })).toThrow(/minimum/);
    expect(() => adjustProcessor(config, { split: true })).toThrow(/splits no images/);
  });

  it('what is missing or not supported is named', async () => {
    const read = (config: object, processor: object = clipProcessor) =>
      readVisionLanguageConfig(files({ 'config.json': config, 'preprocessor_config.json': processor }));
    await expect(readVisionLanguageConfig(files({}))).rejects.toMatchObject({ code: 'missing' });
    await expect(read({ ...llava, vision_feature_select_strategy: 'cls' })).rejects.toThrow(/cls.*default, full/);
    await expect(read({ ...llava, vision_feature_layer: [-2, -5] })).rejects.toThrow(/vision_feature_layer/);
    await expect(read(llava, { ...clipProcessor, resample: 4 })).rejects.toThrow(/resample/);
    await expect(read(llava, { ...clipProcessor, rescale_factor: 1 })).rejects.toThrow(/rescale_factor/);
    await expect(read(llava, { ...clipProcessor, image_mean: [1] })).rejects.toThrow(/image_mean/);
    await expect(read({ ...smolVlm, scale_factor: 3 }, smolProcessor)).rejects.toThrow(/scale_factor/);
    await expect(read({ ...qwen, rope_scaling: { type: 'mrope', mrope_section: [1] } }, qwenProcessor)).rejects.toThrow(
      /mrope_section/,
    );
    await expect(read({ ...llava, text_config: { model_type: 'mamba' } })).rejects.toMatchObject({
      code: 'unsupported',
    });
  });
});
