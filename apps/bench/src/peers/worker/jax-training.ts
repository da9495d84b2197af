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

/** Operations consume their arguments; `ref` keeps one. */
interface JaxArray {
  readonly ref: JaxArray;
  add(other: JaxArray | number): JaxArray;
  sub(other: JaxArray): JaxArray;
  mul(other: JaxArray | number): JaxArray;
  div(other: JaxArray): JaxArray;
  reshape(shape: readonly number[]): JaxArray;
  transpose(axes: readonly number[]): JaxArray;
  slice(...index: (readonly [] | readonly [number, number])[]): JaxArray;
  blockUntilReady(): Promise<JaxArray>;
  data(): Promise<Float32Array>;
  dispose(): void;
}

type Weights = Record<string, JaxArray>;

/** The parts of jax-js that a training step uses. */
export interface TrainingJax {
  jit<F>(work: F): F;
  valueAndGrad(work: (weights: Weights) => JaxArray): (weights: Weights) => [JaxArray, Weights];
  readonly numpy: {
    array(data: Float32Array | Int32Array | readonly number[]): JaxArray;
    matmul(a: JaxArray, b: JaxArray): JaxArray;
    mean(x: JaxArray, axis: number, options: { readonly keepdims: boolean }): JaxArray;
    sum(x: JaxArray): JaxArray;
    sqrt(x: JaxArray): JaxArray;
    square(x: JaxArray): JaxArray;
    reciprocal(x: JaxArray): JaxArray;
    concatenate(xs: readonly JaxArray[], axis: number): JaxArray;
    zerosLike(x: JaxArray): JaxArray;
  };
  readonly nn: {
    softmax(x: JaxArray, axis: number): JaxArray;
    logSoftmax(x: JaxArray, axis: number): JaxArray;
    silu(x: JaxArray): JaxArray;
    oneHot(x: JaxArray, classes: number): JaxArray;
  };
}

interface Constants extends Record<string, JaxArray> {
  readonly input: JaxArray;
  readonly labels: JaxArray;
  readonly bias: JaxArray;
  readonly cos: JaxArray;
  readonly sin: JaxArray;
}

interface AdamState {
  readonly weights: Weights;
  readonly means: Weights;
  readonly squares: Weights;
}

/** A training step in jax-js, compiled whole by `jit`; Adam out of its operations. */
export function prepareTraining(jax: TrainingJax, work: TrainingWork): PreparedWork {
  const { numpy } = jax;
  const { length, hiddenSize, heads } = work;
  const { ids, targets } = trainingBatch(work);
  const rows = (list: Uint32Array) => jax.nn.oneHot(numpy.array(Int32Array.from(list)), vocabulary);
  const { cos, sin } = rotaryTables(work);
  const half = hiddenSize / heads / 2;
  const constants: Constants = {
    // The gradient of a gather is a scatter, which `jit` cannot take; that of a product with one-hot rows is a product.
    input: rows(ids),
    labels: rows(targets),
    bias: numpy.array(causalBias(work)).reshape([length, length]),
    cos: numpy.array(cos).reshape([length, half]),
    sin: numpy.array(sin).reshape([length, half]),
  };
  const step = jax.jit((state: AdamState, given: Constants, corrections: JaxArray) => {
    const [loss, gradients] = jax.valueAndGrad((weights) => lossOf(jax, work, weights, given))(keep(state.weights));
    return { loss, ...adamStep(jax, state, gradients, corrections) };
  });
  let state: AdamState | undefined;
  let steps = 0;
  const free = () => {
    for (const tree of Object.values(state ?? {})) for (const each of Object.values(tree as Weights)) each.dispose();
  };
  const restart = () => {
    free();
    steps = 0;
    const made = (of: (data: Float32Array) => Float32Array): Weights =>
      Object.fromEntries(
        trainingParameters(work).map(({ name, shape, data }) => [name, numpy.array(of(data)).reshape(shape)]),
      );
    const zeros = () => made((data) => new Float32Array(data.length));
    state = { weights: made((data) => data), means: zeros(), squares: zeros() };
  };
  const lossOfStep = async () => {
    steps++;
    const corrections = adam.betas.map((beta) => 1 / (1 - beta ** steps));
    const { loss, ...next } = step(state as AdamState, keep(constants), numpy.array(corrections));
    state = next;
    const [value = Number.NaN] = await loss.data();
    await state.weights['model.norm.weight']?.ref.blockUntilReady().then((array) => array.dispose());
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
      for (const each of Object.values(constants)) each.dispose();
    },
  };
}

function keep<T extends Record<string, JaxArray>>(tree: T): T {
  return Object.fromEntries(Object.entries(tree).map(([name, each]) => [name, each.ref])) as T;
}

function lossOf({ numpy, nn }: TrainingJax, work: TrainingWork, weights: Weights, given: Constants): JaxArray {
  const { batch, length, hiddenSize, heads, layers } = work;
  const headSize = hiddenSize / heads;
  const weight = (name: string) => (weights[`${name}.weight`] as JaxArray).ref;
  const linear = (x: JaxArray, name: string) => numpy.matmul(x, weight(name).transpose([1, 0]));
  const norm = (x: JaxArray, name: string) => {
    const mean = numpy.mean(numpy.square(x.ref), -1, { keepdims: true });
    return x.mul(numpy.reciprocal(numpy.sqrt(mean.add(normEpsilon)))).mul(weight(name));
  };
  const split = (x: JaxArray) => x.reshape([batch, length, heads, headSize]).transpose([0, 2, 1, 3]);
  const rotate = (x: JaxArray) => {
    const a = x.ref.slice([], [], [], [0, headSize / 2]);
    const b = x.slice([], [], [], [headSize / 2, headSize]);
    const first = a.ref.mul(given.cos.ref).sub(b.ref.mul(given.sin.ref));
    return numpy.concatenate([first, b.mul(given.cos.ref).add(a.mul(given.sin.ref))], 3);
  };
  const attention = (x: JaxArray, at: string) => {
    const q = rotate(split(linear(x.ref, `${at}.q_proj`)));
    const k = rotate(split(linear(x.ref, `${at}.k_proj`)));
    const scores = numpy
      .matmul(q, k.transpose([0, 1, 3, 2]))
      .mul(headSize ** -0.5)
      .add(given.bias.ref);
    const mixed = numpy.matmul(nn.softmax(scores, -1), split(linear(x, `${at}.v_proj`)));
    return linear(mixed.transpose([0, 2, 1, 3]).reshape([batch * length, hiddenSize]), `${at}.o_proj`);
  };
  const mlp = (x: JaxArray, at: string) => {
    const up = linear(x.ref, `${at}.up_proj`);
    return linear(nn.silu(linear(x, `${at}.gate_proj`)).mul(up), `${at}.down_proj`);
  };
  let x = numpy.matmul(given.input.ref, weight('model.embed_tokens'));
  for (let layer = 0; layer < layers; layer++) {
    const at = `model.layers.${layer}`;
    x = x.ref.add(attention(norm(x, `${at}.input_layernorm`), `${at}.self_attn`));
    x = x.ref.add(mlp(norm(x, `${at}.post_attention_layernorm`), `${at}.mlp`));
  }
  const logits = linear(norm(x, 'model.norm'), 'model.embed_tokens');
  return numpy.sum(nn.logSoftmax(logits, -1).mul(given.labels.ref)).mul(-1 / (batch * length));
}

/** Adam's step; `corrections` are 1 / (1 - beta^t) of both averages. */
function adamStep({ numpy }: TrainingJax, state: AdamState, gradients: Weights, corrections: JaxArray): AdamState {
  const [first, second] = adam.betas;
  const next = { weights: {} as Weights, means: {} as Weights, squares: {} as Weights };
  const correction = (at: number) => corrections.ref.slice([at, at + 1]).reshape([]);
  for (const [name, gradient] of Object.entries(gradients)) {
    const of = (tree: Weights) => tree[name] as JaxArray;
    const mean = of(state.means)
      .mul(first)
      .add(gradient.ref.mul(1 - first));
    const square = of(state.squares)
      .mul(second)
      .add(numpy.square(gradient).mul(1 - second));
    const spread = numpy.sqrt(square.ref.mul(correction(1))).add(adam.epsilon);
    const change = mean.ref.mul(correction(0)).div(spread).mul(adam.learningRate);
    next.weights[name] = of(state.weights).sub(change);
    next.means[name] = mean;
    next.squares[name] = square;
  }
  return next;
}
