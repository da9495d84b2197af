import { timed } from '../runner.ts';
import {
  type AttentionWork,
  attentionInputs,
  type ConvolutionWork,
  convolutionInputs,
  type MatmulWork,
  matmulInputs,
  type TensorWork,
} from '../work.ts';
import { provideNavigatorGpu } from './dawn-globals.ts';
import type { OpenPeer } from './main.ts';
import { prepareTraining, type TrainingTf } from './tensorflow-training.ts';

interface TfTensor {
  data(): Promise<Float32Array>;
  dispose(): void;
}

/** The parts of TensorFlow.js that are used. */
interface Tf {
  setBackend(name: string): Promise<boolean>;
  ready(): Promise<void>;
  getBackend(): string;
  readonly version_core: string;
  tensor(data: Float32Array, shape: readonly number[]): TfTensor;
  tidy(work: () => TfTensor): TfTensor;
  matMul(a: TfTensor, b: TfTensor, transposeA?: boolean, transposeB?: boolean): TfTensor;
  mul(a: TfTensor, b: number): TfTensor;
  conv2d(x: TfTensor, filter: TfTensor, strides: number, pad: 'same'): TfTensor;
  transpose(x: TfTensor, order: readonly number[]): TfTensor;
  softmax(x: TfTensor): TfTensor;
  slice(x: TfTensor, begin: readonly number[], size: readonly number[]): TfTensor;
  reshape(x: TfTensor, shape: readonly number[]): TfTensor;
}

/** TensorFlow.js on WebGPU; attention out of its own operations, since it has no fused one. */
export const open: OpenPeer = async (load) => {
  await provideNavigatorGpu(load);
  const tf = (await load('@tensorflow/tfjs-core')) as Tf;
  // The package as a whole registers the gradients; the core alone knows none.
  await load('@tensorflow/tfjs');
  await load('@tensorflow/tfjs-backend-webgpu');
  if (!(await tf.setBackend('webgpu'))) throw new Error('finds no WebGPU device');
  await tf.ready();
  return {
    description: `TensorFlow.js ${tf.version_core}, ${tf.getBackend()}`,
    prepare: async (work) => {
      if (work.kind === 'training') return prepareTraining(tf as unknown as TrainingTf, work);
      if (work.kind === 'model' || work.kind === 'quantized-matmul') throw new Error(`has no ${work.kind}`);
      const { inputs, compute, result = compute } = operationOf(tf, work);
      const firstElement = () => tf.tidy(() => tf.slice(tf.reshape(compute(), [-1]), [0], [1]));
      const read = async (tensor: TfTensor) => {
        const data = await tensor.data();
        tensor.dispose();
        return data;
      };
      return {
        run: () => timed(() => read(firstElement())),
        output: () => read(tf.tidy(result)),
        dispose: () => {
          for (const input of inputs) input.dispose();
        },
      };
    },
  };
};

interface Operation {
  readonly inputs: readonly TfTensor[];
  readonly compute: () => TfTensor;
  /** The same in this project's layout, where it is another one. */
  readonly result?: () => TfTensor;
}

function operationOf(tf: Tf, work: Exclude<TensorWork, { kind: 'quantized-matmul' }>): Operation {
  switch (work.kind) {
    case 'matmul':
      return matmulOperation(tf, work);
    case 'attention':
      return attentionOperation(tf, work);
    case 'convolution':
      return convolutionOperation(tf, work);
  }
}

/** In its own layout: channels last. */
function convolutionOperation(tf: Tf, work: ConvolutionWork): Operation {
  const { images, inputs, outputs, size, kernel } = work;
  const given = convolutionInputs(work);
  const ordered = (data: Float32Array, shape: readonly number[], order: readonly number[]) =>
    tf.tidy(() => tf.transpose(tf.tensor(data, shape), order));
  const x = ordered(given.x, [images, inputs, size, size], [0, 2, 3, 1]);
  const filter = ordered(given.weight, [outputs, inputs, kernel, kernel], [2, 3, 1, 0]);
  const compute = () => tf.conv2d(x, filter, 1, 'same');
  return { inputs: [x, filter], compute, result: () => tf.transpose(compute(), [0, 3, 1, 2]) };
}

function matmulOperation(tf: Tf, work: MatmulWork): Operation {
  const inputs = matmulInputs(work);
  const a = tf.tensor(inputs.a, [work.m, work.k]);
  const b = tf.tensor(inputs.b, [work.k, work.n]);
  return { inputs: [a, b], compute: () => tf.matMul(a, b) };
}

function attentionOperation(tf: Tf, work: AttentionWork): Operation {
  const { heads, kvHeads, length, headSize, causal } = work;
  if (causal || heads !== kvHeads) throw new Error('has neither a causal mask nor grouped heads');
  const inputs = attentionInputs(work);
  const [q, k, v] = [inputs.q, inputs.k, inputs.v].map((x) => tf.tensor(x, [heads, length, headSize])) as [
    TfTensor,
    TfTensor,
    TfTensor,
  ];
  const scale = 1 / Math.sqrt(headSize);
  return {
    inputs: [q, k, v],
    compute: () => tf.matMul(tf.softmax(tf.mul(tf.matMul(q, k, false, true), scale)), v),
  };
}
