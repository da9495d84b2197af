import { timed } from '../runner.ts';
import { type AttentionWork, attentionInputs, convolutionInputs, matmulInputs, type TensorWork } from '../work.ts';
import { provideNavigatorGpu } from './dawn-globals.ts';
import { prepareTraining, type TrainingJax } from './jax-training.ts';
import type { OpenPeer } from './main.ts';

/** The parts of jax-js that are used. Operations consume their arguments; `ref` keeps one. */
interface JaxArray {
  readonly ref: JaxArray;
  reshape(shape: readonly number[]): JaxArray;
  blockUntilReady(): Promise<JaxArray>;
  data(): Promise<Float32Array>;
  dispose(): void;
}

interface Jax {
  init(...devices: string[]): Promise<string[]>;
  defaultDevice(device: string): string;
  jit<F>(work: F): F;
  readonly numpy: {
    array(data: Float32Array): JaxArray;
    matmul(a: JaxArray, b: JaxArray): JaxArray;
    transpose(x: JaxArray, axes: readonly number[]): JaxArray;
  };
  readonly lax: {
    convGeneralDilated(x: JaxArray, weight: JaxArray, strides: readonly number[], padding: 'SAME'): JaxArray;
  };
  readonly nn: {
    dotProductAttention(q: JaxArray, k: JaxArray, v: JaxArray, options: { readonly isCausal: boolean }): JaxArray;
  };
}

/** jax-js on WebGPU, its operations compiled by `jit`. */
export const open: OpenPeer = async (load) => {
  await provideNavigatorGpu(load);
  const jax = (await load('@jax-js/jax')) as Jax;
  const devices = await jax.init('webgpu');
  if (!devices.includes('webgpu')) throw new Error('finds no WebGPU device');
  jax.defaultDevice('webgpu');
  return {
    description: '@jax-js/jax, WebGPU, jit',
    prepare: async (work) => {
      if (work.kind === 'training') return prepareTraining(jax as unknown as TrainingJax, work);
      if (work.kind === 'model' || work.kind === 'quantized-matmul') throw new Error(`has no ${work.kind}`);
      const { inputs, compute } = operationOf(jax, work);
      for (const input of inputs) await input.ref.blockUntilReady();
      const result = () => compute(...inputs.map((input) => input.ref));
      return {
        run: () => timed(async () => (await result().blockUntilReady()).dispose()),
        output: async () => {
          const array = result();
          return await (work.kind === 'attention' ? headsFirst(jax, work, array) : array).data();
        },
        dispose: () => {
          for (const input of inputs) input.dispose();
        },
      };
    },
  };
};

function operationOf(
  jax: Jax,
  work: Exclude<TensorWork, { kind: 'quantized-matmul' }>,
): { inputs: JaxArray[]; compute: (...inputs: JaxArray[]) => JaxArray } {
  const { numpy, nn, lax } = jax;
  const array = (data: Float32Array, shape: readonly number[]) => numpy.array(data).reshape(shape);
  if (work.kind === 'matmul') {
    const { a, b } = matmulInputs(work);
    return {
      inputs: [array(a, [work.m, work.k]), array(b, [work.k, work.n])],
      compute: jax.jit((x: JaxArray, y: JaxArray) => numpy.matmul(x, y)) as (...inputs: JaxArray[]) => JaxArray,
    };
  }
  if (work.kind === 'convolution') {
    const { images, inputs, outputs, size, kernel } = work;
    const { x, weight } = convolutionInputs(work);
    const convolve = (a: JaxArray, b: JaxArray) => lax.convGeneralDilated(a, b, [1, 1], 'SAME');
    return {
      inputs: [array(x, [images, inputs, size, size]), array(weight, [outputs, inputs, kernel, kernel])],
      compute: jax.jit(convolve) as (...inputs: JaxArray[]) => JaxArray,
    };
  }
  const { q, k, v } = attentionInputs(work);
  const { heads, kvHeads, length, headSize, causal } = work;
  // It takes [length, heads, size].
  const input = (x: Float32Array, count: number) => numpy.transpose(array(x, [count, length, headSize]), [1, 0, 2]);
  const attend = (x: JaxArray, y: JaxArray, z: JaxArray) => nn.dotProductAttention(x, y, z, { isCausal: causal });
  return {
    inputs: [input(q, heads), input(k, kvHeads), input(v, kvHeads)],
    compute: jax.jit(attend) as (...inputs: JaxArray[]) => JaxArray,
  };
}

function headsFirst(jax: Jax, { heads, length, headSize }: AttentionWork, array: JaxArray): JaxArray {
  return jax.numpy.transpose(array.reshape([length, heads, headSize]), [1, 0, 2]);
}
