import type { ProjectionWeights } from '../architectures/transformer/weights.ts';
import type { WeightLoader } from '../architectures/weight-loader.ts';
import type { ProjectorWeights } from './projector.ts';
import type { ProjectorConfig, VisionTowerConfig } from './vision-config.ts';
import type { VisionLayerWeights, VisionTowerWeights } from './vision-tower.ts';

/** Names of a layer's parts, without `.weight` and `.bias`. */
const layerNames = {
  encoder: {
    layers: 'vision.encoder.layers',
    attentionNorm: 'layer_norm1',
    qkv: ['self_attn.q_proj', 'self_attn.k_proj', 'self_attn.v_proj'],
    output: 'self_attn.out_proj',
    mlpNorm: 'layer_norm2',
  },
  blocks: {
    layers: 'vision.blocks',
    attentionNorm: 'norm1',
    qkv: ['attn.qkv'],
    output: 'attn.proj',
    mlpNorm: 'norm2',
  },
} as const;

/** Loads a vision tower under the names `vision.*` (see `visionLanguageWeights`). @throws WeightFileError */
export async function loadVisionTower(
  loader: WeightLoader,
  config: VisionTowerConfig,
  onLayer: () => void,
): Promise<VisionTowerWeights> {
  const { hiddenSize, intermediateSize, patchSize, frames, patchBias, classToken, positions } = config;
  const names = layerNames[config.names];
  const embeddings = config.names === 'encoder' ? 'vision.embeddings.patch_embedding' : 'vision.patch_embed.proj';
  const patches = await projection(loader, [embeddings], [hiddenSize], 3 * frames * patchSize ** 2, patchBias);
  const leading = classToken === 'none' ? 0 : 1;
  const token = leading === 1 ? await loader.vector(['vision.embeddings.class_embedding'], [hiddenSize]) : undefined;
  const table =
    positions.kind === 'learned'
      ? await loader.matrix(
          ['vision.embeddings.position_embedding.weight'],
          [positions.side ** 2 + leading],
          hiddenSize,
        )
      : undefined;
  // The spelling is that of the checkpoints.
  const preNorm = config.preNorm ? await layerNorm(loader, 'vision.pre_layrnorm', hiddenSize) : undefined;
  const layers: VisionLayerWeights[] = [];
  for (let index = 0; index < config.layers; index++) {
    const at = (part: string) => `${names.layers}.${index}.${part}`;
    const qkvRows = names.qkv.length === 1 ? [3 * hiddenSize] : [hiddenSize, hiddenSize, hiddenSize];
    layers.push({
      attentionNorm: await layerNorm(loader, at(names.attentionNorm), hiddenSize),
      qkv: await projection(loader, names.qkv.map(at), qkvRows, hiddenSize),
      output: await projection(loader, [at(names.output)], [hiddenSize], hiddenSize),
      mlpNorm: await layerNorm(loader, at(names.mlpNorm), hiddenSize),
      up: await projection(loader, [at('mlp.fc1')], [intermediateSize], hiddenSize),
      down: await projection(loader, [at('mlp.fc2')], [hiddenSize], intermediateSize),
    });
    onLayer();
  }
  const postNorm = config.postNorm ? await layerNorm(loader, 'vision.post_layernorm', hiddenSize) : undefined;
  return {
    patches,
    ...(token ? { classToken: token } : {}),
    ...(table ? { positions: table } : {}),
    ...(preNorm ? { preNorm } : {}),
    layers,
    ...(postNorm ? { postNorm } : {}),
  };
}

/** Loads a projector under the names `projector.*`. @throws WeightFileError */
export async function loadProjector(
  loader: WeightLoader,
  config: ProjectorConfig,
  { hiddenSize: inputs, group }: VisionTowerConfig,
  outputs: number,
): Promise<ProjectorWeights> {
  const joined = inputs * group * group;
  switch (config.kind) {
    case 'mlp':
      return {
        layers: [
          await projection(loader, ['projector.linear_1'], [outputs], inputs, config.bias),
          await projection(loader, ['projector.linear_2'], [outputs], outputs, config.bias),
        ],
      };
    case 'shuffle':
      return { layers: [await projection(loader, ['projector.modality_projection.proj'], [outputs], joined, false)] };
    case 'merger':
      return {
        norm: await layerNorm(loader, 'vision.merger.ln_q', inputs),
        layers: [
          await projection(loader, ['vision.merger.mlp.0'], [joined], joined),
          await projection(loader, ['vision.merger.mlp.2'], [outputs], joined),
        ],
      };
  }
}

async function layerNorm(loader: WeightLoader, name: string, size: number) {
  return {
    weight: await loader.vector([`${name}.weight`], [size]),
    bias: await loader.vector([`${name}.bias`], [size]),
  };
}

async function projection(
  loader: WeightLoader,
  names: readonly string[],
  rows: readonly number[],
  columns: number,
  biased = true,
): Promise<ProjectionWeights> {
  const named = (kind: string) => names.map((name) => `${name}.${kind}`);
  const weight = await loader.matrix(named('weight'), rows, columns);
  return biased ? { weight, bias: await loader.vector(named('bias'), rows) } : { weight };
}
