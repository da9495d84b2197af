import { timed } from '../runner.ts';
import { type AttentionWork, attentionInputs, type MatmulWork, matmulInputs } from '../work.ts';
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
      const { inputs, compute } = work.kind === 'matmul' ? matmulOperation(tf, work) : attentionOperation(tf, work);
      const firstElement = () => tf.tidy(() => tf.slice(tf.reshape(compute(), [-1]), [0], [1]));
      const read = async (tensor: TfTensor) => {
        const data = await tensor.data();
        tensor.dispose();
        return data;
      };
      return {
        run: () => timed(() => read(firstElement())),
        output: () => read(tf.tidy(compute)),
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
