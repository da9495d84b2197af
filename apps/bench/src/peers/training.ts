import { randomArray, randomIntegers } from '@saccade/core/testing';
import { type TrainingShape, vocabulary } from '../measure/training-shape.ts';

/** A step of a small causal language model in f32: forward, backward and Adam. */
export interface TrainingWork extends TrainingShape {
  readonly kind: 'training';
}

export const normEpsilon = 1e-5;
/** Of Adam, as PyTorch's. */
export const adam = { learningRate: 1e-3, betas: [0.9, 0.999], epsilon: 1e-8 } as const;
/** Losses that implementations are compared by: of the first steps from the same weights. */
export const comparedSteps = 4;

export interface TrainingParameter {
  readonly name: string;
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

/** The weights to begin with, by Llama's names, the same in every process. */
export function trainingParameters(work: TrainingWork): TrainingParameter[] {
  const { hiddenSize, intermediateSize } = work;
  const made: TrainingParameter[] = [];
  const matrix = (name: string, rows: number, columns: number) => {
    const data = randomArray(rows * columns, made.length + 1, { scale: 0.1 });
    made.push({ name: `${name}.weight`, shape: [rows, columns], data });
  };
  const norm = (name: string) => {
    made.push({ name: `${name}.weight`, shape: [hiddenSize], data: new Float32Array(hiddenSize).fill(1) });
  };
  matrix('model.embed_tokens', vocabulary, hiddenSize);
  for (let layer = 0; layer < work.layers; layer++) {
    const at = `model.layers.${layer}`;
    norm(`${at}.input_layernorm`);
    for (const name of ['q_proj', 'k_proj', 'v_proj', 'o_proj'])
      matrix(`${at}.self_attn.${name}`, hiddenSize, hiddenSize);
    norm(`${at}.post_attention_layernorm`);
    for (const name of ['gate_proj', 'up_proj']) matrix(`${at}.mlp.${name}`, intermediateSize, hiddenSize);
    matrix(`${at}.mlp.down_proj`, hiddenSize, intermediateSize);
  }
  norm('model.norm');
  return made;
}

/** The batch of every step, [batch, length]. */
export function trainingBatch({ batch, length }: TrainingWork): { ids: Uint32Array; targets: Uint32Array } {
  const tokens = randomIntegers(batch * (length + 1), 1, vocabulary);
  const shifted = (by: number) =>
    Uint32Array.from({ length: batch * length }, (_, at) => {
      const row = Math.floor(at / length);
      return tokens[row * (length + 1) + (at % length) + by] as number;
    });
  return { ids: shifted(0), targets: shifted(1) };
}

/** Cosines and sines of the rotary embedding, [length, D / 2]. */
export function rotaryTables({ hiddenSize, heads, length }: TrainingWork): { cos: Float32Array; sin: Float32Array } {
  const half = hiddenSize / heads / 2;
  const angle = (at: number) => Math.floor(at / half) * 10_000 ** (-(at % half) / half);
  const table = (of: (x: number) => number) => Float32Array.from({ length: length * half }, (_, at) => of(angle(at)));
  return { cos: table(Math.cos), sin: table(Math.sin) };
}

/** Added to scores: what hides later keys, [length, length]. */
export function causalBias({ length }: TrainingWork): Float32Array {
  return Float32Array.from({ length: length * length }, (_, at) => (at % length > Math.floor(at / length) ? -1e9 : 0));
}
