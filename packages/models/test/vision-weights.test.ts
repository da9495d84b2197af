import { describe, expect, it } from 'vitest';
import { memoryWeightFile } from '../src/testing/index.ts';
import { visionLanguageWeights } from '../src/vision/vision-weights.ts';

const tensor = (...shape: number[]) => ({
  shape,
  data: Float32Array.from({ length: shape.reduce((product, size) => product * size, 1) }, (_, index) => index),
});

describe('weights of models that see', () => {
  it.each([
    // LLaVA-1.5 as published, as transformers writes it, as it holds it.
    ['vision_tower.vision_model.encoder.layers.3.mlp.fc1.weight', 'vision.encoder.layers.3.mlp.fc1.weight'],
    ['vision_tower.pre_layrnorm.bias', 'vision.pre_layrnorm.bias'],
    ['model.vision_tower.vision_model.embeddings.class_embedding', 'vision.embeddings.class_embedding'],
    ['multi_modal_projector.linear_1.weight', 'projector.linear_1.weight'],
    ['model.multi_modal_projector.linear_2.bias', 'projector.linear_2.bias'],
    ['language_model.model.layers.0.mlp.up_proj.weight', 'model.layers.0.mlp.up_proj.weight'],
    ['language_model.lm_head.weight', 'lm_head.weight'],
    ['model.language_model.norm.weight', 'model.norm.weight'],
    // Idefics3 and SmolVLM.
    ['model.vision_model.post_layernorm.weight', 'vision.post_layernorm.weight'],
    ['model.connector.modality_projection.proj.weight', 'projector.modality_projection.proj.weight'],
    ['model.text_model.embed_tokens.weight', 'model.embed_tokens.weight'],
    // Qwen2-VL.
    ['visual.merger.mlp.0.weight', 'vision.merger.mlp.0.weight'],
    ['model.visual.blocks.1.attn.qkv.bias', 'vision.blocks.1.attn.qkv.bias'],
    ['model.layers.5.input_layernorm.weight', 'model.layers.5.input_layernorm.weight'],
    ['lm_head.weight', 'lm_head.weight'],
  ])('%s is %s', (stored, canonical) => {
    const file = visionLanguageWeights(memoryWeightFile(new Map([[stored, tensor(2)]])));
    expect(file.tensorNames()).toEqual([canonical]);
    expect(file.has(canonical)).toBe(true);
    expect(file.info(canonical)).toMatchObject({ name: canonical, storedName: stored });
  });

  it('kernels over patches are matrices', async () => {
    const file = visionLanguageWeights(
      memoryWeightFile(new Map([['visual.patch_embed.proj.weight', tensor(2, 3, 2, 4, 4)]])),
    );
    expect(file.info('vision.patch_embed.proj.weight').shape).toEqual([2, 96]);
    expect((await file.read('vision.patch_embed.proj.weight', { start: 1, end: 2 })).byteLength).toBe(96 * 4);
  });
});
