import { type Gpu, quantizedTensor, type Tensor } from '@saccade/core';
import type { LlamaConfig } from '../../weights/model-config.ts';
import { type WeightFile, WeightFileError, type WeightInfo } from '../../weights/types.ts';

/**
 * One layer. Matrices that read the same input are one matrix, row after row, so that they take one launch; where a file has
 * them in different types, they stay apart.
 */
export interface LlamaLayerWeights {
  readonly attentionNorm: Tensor;
  /** Query, key and value projections: one [(H + 2 Hkv) D, hiddenSize], or three. */
  readonly qkv: readonly Tensor[];
  /** [hiddenSize, H D] */
  readonly output: Tensor;
  readonly mlpNorm: Tensor;
  /** Gate and up projections: one [2 intermediateSize, hiddenSize], or two. */
  readonly gateUp: readonly Tensor[];
  /** [hiddenSize, intermediateSize] */
  readonly down: Tensor;
}

export interface LlamaWeights {
  /** [vocabularySize, hiddenSize] */
  readonly embedding: Tensor;
  readonly layers: readonly LlamaLayerWeights[];
  readonly norm: Tensor;
  /** [vocabularySize, hiddenSize]; the embedding itself where they are tied. */
  readonly head: Tensor;
}

/** Uploads the weights of a Llama-family network, tensor by tensor, in the types that the file has. */
export async function loadLlamaWeights(
  gpu: Gpu,
  file: WeightFile,
  config: LlamaConfig,
  onTensor: (share: number) => void = () => undefined,
): Promise<LlamaWeights> {
  const { hiddenSize, heads, kvHeads, headSize, intermediateSize, vocabularySize } = config;
  const made: Tensor[] = [];
  const load = async (name: string, rows: number, columns?: number): Promise<Tensor> => {
    const tensor = await upload(gpu, file, [name], [rows], columns);
    made.push(tensor);
    return tensor;
  };
  const loadJoint = async (names: readonly string[], rows: readonly number[]): Promise<Tensor[]> => {
    const joint = new Set(names.map((name) => file.info(name).dtype)).size === 1;
    if (!joint) return Promise.all(names.map((name, index) => load(name, rows[index] as number, hiddenSize)));
    const tensor = await upload(gpu, file, names, rows, hiddenSize);
    made.push(tensor);
    return [tensor];
  };
  try {
    const embedding = await load('model.embed_tokens.weight', vocabularySize, hiddenSize);
    const layers: LlamaLayerWeights[] = [];
    for (let index = 0; index < config.layers; index++) {
      const at = `model.layers.${index}`;
      layers.push({
        attentionNorm: await load(`${at}.input_layernorm.weight`, hiddenSize),
        qkv: await loadJoint(
          ['q', 'k', 'v'].map((name) => `${at}.self_attn.${name}_proj.weight`),
          [heads * headSize, kvHeads * headSize, kvHeads * headSize],
        ),
        output: await load(`${at}.self_attn.o_proj.weight`, hiddenSize, heads * headSize),
        mlpNorm: await load(`${at}.post_attention_layernorm.weight`, hiddenSize),
        gateUp: await loadJoint(
          [`${at}.mlp.gate_proj.weight`, `${at}.mlp.up_proj.weight`],
          [intermediateSize, intermediateSize],
        ),
        down: await load(`${at}.mlp.down_proj.weight`, hiddenSize, intermediateSize),
      });
      onTensor((index + 1) / (config.layers + 1));
    }
    const norm = await load('model.norm.weight', hiddenSize);
    const tied = config.tieWordEmbeddings || !file.has('lm_head.weight');
    const head = tied ? embedding : await load('lm_head.weight', vocabularySize, hiddenSize);
    onTensor(1);
    return { embedding, layers, norm, head };
  } catch (error) {
    for (const tensor of made) tensor.dispose();
    throw error;
  }
}

/** All tensors of the weights, each once. */
export function llamaTensors(weights: LlamaWeights): Set<Tensor> {
  return new Set([
    weights.embedding,
    weights.norm,
    weights.head,
    ...weights.layers.flatMap((layer) => (Object.values(layer) as (Tensor | Tensor[])[]).flat()),
  ]);
}

/** Reads tensors of one type from the file and uploads them as one, row after row. Without `columns` they are vectors. */
async function upload(
  gpu: Gpu,
  file: WeightFile,
  names: readonly string[],
  rows: readonly number[],
  columns: number | undefined,
): Promise<Tensor> {
  const infos = names.map((name) => file.info(name));
  infos.forEach((info, index) => {
    const expected = columns === undefined ? [rows[index]] : [rows[index], columns];
    if (info.shape.join() !== expected.join()) {
      throw new WeightFileError(
        'wrong-shape',
        `${info.name} has the shape [${info.shape}]; the configuration asks for [${expected}].`,
      );
    }
  });
  const parts = await Promise.all(names.map((name) => file.read(name)));
  const total = rows.reduce((sum, count) => sum + count, 0);
  const shape = columns === undefined ? [total] : [total, columns];
  const [{ dtype }] = infos as [WeightInfo];
  const bytes = concatenateBytes(parts);
  if (dtype === 'q4_0' || dtype === 'q4_1' || dtype === 'q8_0') return quantizedTensor(gpu, dtype, shape, bytes);
  return gpu.fromBytes(bytes, shape, dtype);
}

function concatenateBytes(parts: readonly Uint8Array[]): Uint8Array {
  const [first] = parts;
  if (parts.length === 1 && first) return first;
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.byteLength, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.byteLength;
  }
  return out;
}
