import { encodeOnnxModel, type OnnxConstant, type OnnxNode } from '@saccade/onnx-graph';
import { timed } from '../runner.ts';
import {
  type AttentionWork,
  attentionInputs,
  blockElements,
  type ConvolutionWork,
  convolutionInputs,
  type MatmulWork,
  matmulInputs,
  type QuantizedMatmulWork,
  quantizedInputs,
  type TensorWork,
} from '../work.ts';
import type { OpenPeer } from './main.ts';

interface Runtime {
  readonly InferenceSession: {
    create(model: Uint8Array, options: object): Promise<Session>;
  };
  readonly env: { readonly versions: Readonly<Record<string, string>> };
}

interface Session {
  run(feeds: object): Promise<Readonly<Record<string, { readonly data: Float32Array }>>>;
  release(): Promise<void>;
}

/** Nodes and constants that compute `result` from nothing. */
interface Graph {
  readonly nodes: readonly OnnxNode[];
  readonly constants: Readonly<Record<string, OnnxConstant>>;
}

const bytesOf = (data: Float32Array | Int32Array | BigInt64Array) =>
  new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
const f32 = (data: Float32Array, shape: readonly number[]): OnnxConstant => ({
  type: 'f32',
  shape,
  bytes: bytesOf(data),
});
const i32 = (values: readonly number[], shape: readonly number[]): OnnxConstant => ({
  type: 'i32',
  shape,
  bytes: bytesOf(Int32Array.from(values)),
});
const i64 = (values: readonly number[]): OnnxConstant => ({
  type: 'i64',
  shape: [values.length],
  bytes: bytesOf(BigInt64Array.from(values, BigInt)),
});

/** onnxruntime's WebGPU execution provider. */
export const open: OpenPeer = async (load) => {
  const runtime = (await load('onnxruntime-node')) as Runtime;
  return {
    description: `onnxruntime-node ${runtime.env.versions.node ?? ''}, WebGPU execution provider`,
    prepare: async (work) => {
      if (work.kind === 'model' || work.kind === 'training') throw new Error('compares operators only');
      const graph = graphOf(work);
      const timedSession = await createSession(runtime, firstElementOf(graph));
      return {
        run: () => timed(() => timedSession.run({})),
        output: async () => {
          const whole = await createSession(runtime, graph);
          try {
            return inOurLayout(work, (await whole.run({})).result?.data ?? new Float32Array());
          } finally {
            await whole.release();
          }
        },
        dispose: () => timedSession.release(),
      };
    },
  };
};

function createSession(runtime: Runtime, { nodes, constants }: Graph): Promise<Session> {
  const model = encodeOnnxModel({ nodes, constants, outputs: { [nodes.at(-1)?.outputs[0] as string]: 'f32' } });
  // The optimiser would compute a graph of constants once and for all, on the processor.
  const options = { executionProviders: ['webgpu'], graphOptimizationLevel: 'disabled', logSeverityLevel: 3 };
  return runtime.InferenceSession.create(model, options);
}

/** The same work, of which only one element leaves the device. */
function firstElementOf({ nodes, constants }: Graph): Graph {
  return {
    nodes: [
      ...nodes,
      { operator: 'Reshape', inputs: ['result', 'flat'], outputs: ['vector'] },
      { operator: 'Slice', inputs: ['vector', 'slice_start', 'slice_end'], outputs: ['first'] },
    ],
    constants: { ...constants, flat: i64([-1]), slice_start: i64([0]), slice_end: i64([1]) },
  };
}

function graphOf(work: TensorWork): Graph {
  switch (work.kind) {
    case 'matmul':
      return matmulGraph(work);
    case 'quantized-matmul':
      return quantizedGraph(work);
    case 'attention':
      return work.causal ? groupQueryGraph(work) : multiHeadGraph(work);
    case 'convolution':
      return convolutionGraph(work);
  }
}

function matmulGraph(work: MatmulWork): Graph {
  const { a, b } = matmulInputs(work);
  return {
    nodes: [{ operator: 'MatMul', inputs: ['a', 'b'], outputs: ['result'] }],
    constants: { a: f32(a, [work.m, work.k]), b: f32(b, [work.k, work.n]) },
  };
}

function convolutionGraph(work: ConvolutionWork): Graph {
  const { images, inputs, outputs, size, kernel } = work;
  const { x, weight } = convolutionInputs(work);
  const pads = new Array<number>(4).fill((kernel - 1) / 2);
  return {
    nodes: [{ operator: 'Conv', inputs: ['x', 'weight'], outputs: ['result'], attributes: { pads } }],
    constants: {
      x: f32(x, [images, inputs, size, size]),
      weight: f32(weight, [outputs, inputs, kernel, kernel]),
    },
  };
}

/** Element 2 i of a block stands in the low half of byte i, its neighbour in the high half. */
function quantizedGraph({ m, k, n, ...work }: QuantizedMatmulWork): Graph {
  const { x, quants, scales } = quantizedInputs({ m, k, n, ...work });
  const packed = Uint8Array.from(
    { length: quants.length / 2 },
    (_, index) => (quants[2 * index] as number) | ((quants[2 * index + 1] as number) << 4),
  );
  const attributes = { K: k, N: n, bits: 4, block_size: blockElements };
  return {
    nodes: [
      {
        operator: 'MatMulNBits',
        domain: 'com.microsoft',
        inputs: ['x', 'b', 'scales'],
        outputs: ['result'],
        attributes,
      },
    ],
    constants: {
      x: f32(x, [m, k]),
      b: { type: 'u8', shape: [n, k / blockElements, blockElements / 2], bytes: packed },
      scales: f32(scales, [scales.length]),
    },
  };
}

/** [heads, N, D] as [1, N, heads D]. */
function tokensFirst(x: Float32Array, heads: number, length: number, size: number): OnnxConstant {
  const out = new Float32Array(x.length);
  for (let head = 0; head < heads; head++) {
    for (let row = 0; row < length; row++) {
      const from = (head * length + row) * size;
      out.set(x.subarray(from, from + size), (row * heads + head) * size);
    }
  }
  return f32(out, [1, length, heads * size]);
}

function multiHeadGraph({ heads, length, headSize, ...work }: AttentionWork): Graph {
  const { q, k, v } = attentionInputs({ heads, length, headSize, ...work });
  const constant = (x: Float32Array) => tokensFirst(x, heads, length, headSize);
  return {
    nodes: [
      {
        operator: 'MultiHeadAttention',
        domain: 'com.microsoft',
        inputs: ['q', 'k', 'v'],
        outputs: ['result'],
        attributes: { num_heads: heads },
      },
    ],
    constants: { q: constant(q), k: constant(k), v: constant(v) },
  };
}

function groupQueryGraph({ heads, kvHeads, length, headSize, ...work }: AttentionWork): Graph {
  const { q, k, v } = attentionInputs({ heads, kvHeads, length, headSize, ...work });
  const empty = f32(new Float32Array(0), [1, kvHeads, 0, headSize]);
  return {
    nodes: [
      {
        operator: 'GroupQueryAttention',
        domain: 'com.microsoft',
        inputs: ['q', 'k', 'v', 'past_key', 'past_value', 'last_position', 'total_length'],
        outputs: ['result', 'present_key', 'present_value'],
        attributes: { num_heads: heads, kv_num_heads: kvHeads },
      },
    ],
    constants: {
      q: tokensFirst(q, heads, length, headSize),
      k: tokensFirst(k, kvHeads, length, headSize),
      v: tokensFirst(v, kvHeads, length, headSize),
      past_key: empty,
      past_value: empty,
      last_position: i32([length - 1], [1]),
      total_length: i32([length], [1]),
    },
  };
}

function inOurLayout(work: TensorWork, result: Float32Array): Float32Array {
  if (work.kind !== 'attention') return result;
  const { heads, length, headSize } = work;
  const out = new Float32Array(result.length);
  for (let row = 0; row < length; row++) {
    for (let head = 0; head < heads; head++) {
      const from = (row * heads + head) * headSize;
      out.set(result.subarray(from, from + headSize), (head * length + row) * headSize);
    }
  }
  return out;
}
