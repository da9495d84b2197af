import { vocabulary } from '../../measure/training-shape.ts';
import { type PreparedWork, timed } from '../runner.ts';
import {
  adam,
  causalBias,
  comparedSteps,
  normEpsilon,
  rotaryTables,
  type TrainingWork,
  trainingBatch,
  trainingParameters,
} from '../training.ts';

interface TfTensor {
  data(): Promise<Float32Array>;
  dispose(): void;
}

interface TfOptimizer {
  minimize(loss: () => TfTensor, returnCost: boolean, variables: readonly TfTensor[]): TfTensor;
  dispose(): void;
}

/** The parts of TensorFlow.js that a training step uses. */
export interface TrainingTf {
  tensor(data: ArrayLike<number>, shape: readonly number[], dtype?: 'float32' | 'int32'): TfTensor;
  variable(value: TfTensor): TfTensor;
  gather(x: TfTensor, indices: TfTensor): TfTensor;
  oneHot(indices: TfTensor, depth: number): TfTensor;
  matMul(a: TfTensor, b: TfTensor, transposeA?: boolean, transposeB?: boolean): TfTensor;
  add(a: TfTensor, b: TfTensor | number): TfTensor;
  sub(a: TfTensor, b: TfTensor): TfTensor;
  mul(a: TfTensor, b: TfTensor | number): TfTensor;
  mean(x: TfTensor, axis: number, keepDims: boolean): TfTensor;
  sum(x: TfTensor): TfTensor;
  square(x: TfTensor): TfTensor;
  rsqrt(x: TfTensor): TfTensor;
  sigmoid(x: TfTensor): TfTensor;
  softmax(x: TfTensor): TfTensor;
  logSoftmax(x: TfTensor): TfTensor;
  slice(x: TfTensor, begin: readonly number[], size: readonly number[]): TfTensor;
  concat(xs: readonly TfTensor[], axis: number): TfTensor;
  reshape(x: TfTensor, shape: readonly number[]): TfTensor;
  transpose(x: TfTensor, axes: readonly number[]): TfTensor;
  readonly train: { adam(rate: number, beta1: number, beta2: number, epsilon: number): TfOptimizer };
}

/** A training step out of TensorFlow.js's own operations, gradients and Adam. */
export function prepareTraining(tf: TrainingTf, work: TrainingWork): PreparedWork {
  const { batch, length, hiddenSize, heads } = work;
  const headSize = hiddenSize / heads;
  const { ids, targets } = trainingBatch(work);
  const list = (values: Uint32Array) => tf.tensor(Int32Array.from(values), [batch * length], 'int32');
  const input = list(ids);
  const labels = tf.oneHot(list(targets), vocabulary);
  const bias = tf.tensor(causalBias(work), [length, length]);
  const [cos, sin] = Object.values(rotaryTables(work)).map((table) => tf.tensor(table, [length, headSize / 2])) as [
    TfTensor,
    TfTensor,
  ];
  let variables = new Map<string, TfTensor>();
  let optimizer: TfOptimizer | undefined;
  const weight = (name: string) => variables.get(`${name}.weight`) as TfTensor;
  const linear = (x: TfTensor, name: string) => tf.matMul(x, weight(name), false, true);
  const norm = (x: TfTensor, name: string) =>
    tf.mul(tf.mul(x, tf.rsqrt(tf.add(tf.mean(tf.square(x), -1, true), normEpsilon))), weight(name));
  const split = (x: TfTensor) => tf.transpose(tf.reshape(x, [batch, length, heads, headSize]), [0, 2, 1, 3]);
  const rotate = (x: TfTensor) => {
    const half = [batch, heads, length, headSize / 2];
    const [a, b] = [tf.slice(x, [0, 0, 0, 0], half), tf.slice(x, [0, 0, 0, headSize / 2], half)];
    return tf.concat([tf.sub(tf.mul(a, cos), tf.mul(b, sin)), tf.add(tf.mul(b, cos), tf.mul(a, sin))], 3);
  };
  const attention = (x: TfTensor, at: string) => {
    const [q, k] = [rotate(split(linear(x, `${at}.q_proj`))), rotate(split(linear(x, `${at}.k_proj`)))];
    const scores = tf.add(tf.mul(tf.matMul(q, k, false, true), headSize ** -0.5), bias);
    const mixed = tf.matMul(tf.softmax(scores), split(linear(x, `${at}.v_proj`)));
    return linear(tf.reshape(tf.transpose(mixed, [0, 2, 1, 3]), [batch * length, hiddenSize]), `${at}.o_proj`);
  };
  const mlp = (x: TfTensor, at: string) => {
    const gate = linear(x, `${at}.gate_proj`);
    return linear(tf.mul(tf.mul(gate, tf.sigmoid(gate)), linear(x, `${at}.up_proj`)), `${at}.down_proj`);
  };
  const loss = () => {
    let x = tf.gather(weight('model.embed_tokens'), input);
    for (let layer = 0; layer < work.layers; layer++) {
      const at = `model.layers.${layer}`;
      x = tf.add(x, attention(norm(x, `${at}.input_layernorm`), `${at}.self_attn`));
      x = tf.add(x, mlp(norm(x, `${at}.post_attention_layernorm`), `${at}.mlp`));
    }
    const logits = linear(norm(x, 'model.norm'), 'model.embed_tokens');
    return tf.mul(tf.sum(tf.mul(tf.logSoftmax(logits), labels)), -1 / (batch * length));
  };
  const free = () => {
    for (const each of variables.values()) each.dispose();
    optimizer?.dispose();
  };
  const restart = () => {
    free();
    variables = new Map(
      trainingParameters(work).map(({ name, shape, data }) => [name, tf.variable(tf.tensor(data, shape))]),
    );
    optimizer = tf.train.adam(adam.learningRate, ...adam.betas, adam.epsilon);
  };
  const lossOfStep = async () => {
    const cost = (optimizer as TfOptimizer).minimize(loss, true, [...variables.values()]);
    const [value = Number.NaN] = await cost.data();
    cost.dispose();
    return value;
  };
  restart();
  return {
    run: () => timed(lossOfStep),
    output: async () => {
      restart();
      const losses: number[] = [];
      while (losses.length < comparedSteps) losses.push(await lossOfStep());
      return losses;
    },
    dispose: () => {
      free();
      for (const each of [input, labels, bias, cos, sin]) each.dispose();
    },
  };
}
