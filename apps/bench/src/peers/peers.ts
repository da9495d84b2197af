import type { Work } from './work.ts';

/** Another engine that works are compared with. */
export interface Peer {
  readonly name: string;
  /** Where the worker finds its adapter: a module in `worker/`. */
  readonly worker: 'onnxruntime' | 'jax' | 'tensorflow' | 'llama';
  /** Exact versions, so that a comparison can be repeated. */
  readonly packages: Readonly<Record<string, string>>;
  /** Runs under a newer Node than ours may be. */
  readonly needsNode?: 22;
  /** Passed to the worker. */
  readonly device?: string;
  /** Variables of its process. */
  readonly environment?: Readonly<Record<string, string>>;
  /** What its times include that ours do not. */
  readonly remark?: string;
  /** Whether results count in the comparison; others are shown as an outside reference. */
  readonly judged: boolean;
  readonly does: (work: Work) => boolean;
}

const dawn = { webgpu: '0.6.2' } as const;
const llama = {
  worker: 'llama',
  packages: { 'node-llama-cpp': '3.22.1' },
  does: (work: Work) => work.kind === 'model',
} as const;

/** The engines that run on this adapter in Node, and llama.cpp on the processor as the outside reference. */
export const peers: readonly Peer[] = [
  {
    name: 'onnxruntime-webgpu',
    worker: 'onnxruntime',
    packages: { 'onnxruntime-node': '1.30.0' },
    judged: true,
    remark: 'inputs are constants of the graph; one element of the result is downloaded',
    does: (work) => work.kind !== 'model' && work.kind !== 'training',
  },
  {
    name: 'jax-js',
    worker: 'jax',
    packages: { '@jax-js/jax': '0.1.25', ...dawn },
    needsNode: 22,
    judged: true,
    does: (work) => ['matmul', 'attention', 'convolution', 'training'].includes(work.kind),
  },
  {
    name: 'tfjs-webgpu',
    worker: 'tensorflow',
    packages: { '@tensorflow/tfjs': '4.22.0', '@tensorflow/tfjs-backend-webgpu': '4.22.0', ...dawn },
    judged: true,
    remark: 'one element of the result is downloaded',
    // It has neither a causal mask nor grouped heads.
    does: (work) =>
      work.kind === 'matmul' ||
      work.kind === 'training' ||
      work.kind === 'convolution' ||
      (work.kind === 'attention' && !work.causal && work.heads === work.kvHeads),
  },
  {
    ...llama,
    name: 'llama.cpp-vulkan',
    device: 'vulkan',
    // It passes over devices that are processors, and then computes without Vulkan, unless a device is named.
    environment: { GGML_VK_VISIBLE_DEVICES: '0' },
    judged: true,
  },
  { ...llama, name: 'llama.cpp-cpu', device: 'cpu', judged: false, remark: 'the processor itself, not the adapter' },
];
