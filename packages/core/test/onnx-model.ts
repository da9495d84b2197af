import { encodeOnnxModel, type OnnxNode as GraphNode } from '@saccade/onnx-graph';
import { InferenceSession, Tensor } from 'onnxruntime-node';

/** Input of a model: i64 for indices and axes, f32 else. */
export interface OnnxInput {
  readonly data: ArrayLike<number>;
  readonly shape: readonly number[];
  readonly type?: 'f32' | 'i64';
}

/** One operator with one output. */
export interface OnnxNode extends Omit<GraphNode, 'outputs'> {
  readonly output: string;
}

/**
 * Runs a small model in onnxruntime on the CPU: an implementation of the same operators that owes nothing to this one.
 * The output of the last node is the result.
 */
export async function runOnnx(
  nodes: readonly OnnxNode[],
  inputs: Readonly<Record<string, OnnxInput>>,
  resultType: 'f32' | 'i64' = 'f32',
): Promise<{ data: Float64Array; shape: readonly number[] }> {
  const result = nodes.at(-1)?.output as string;
  const model = encodeOnnxModel({
    nodes: nodes.map(({ output, ...node }) => ({ ...node, outputs: [output] })),
    inputs: Object.fromEntries(
      Object.entries(inputs).map(([name, { shape, type = 'f32' }]) => [name, { type, shape }] as const),
    ),
    outputs: { [result]: resultType },
  });
  const session = await InferenceSession.create(model, { intraOpNumThreads: 1 });
  const feeds = Object.entries(inputs).map(([name, { data, shape, type = 'f32' }]) => {
    const values =
      type === 'f32' ? Float32Array.from(data) : BigInt64Array.from(Array.from(data, (value) => BigInt(value)));
    return [name, new Tensor(type === 'f32' ? 'float32' : 'int64', values, [...shape])] as const;
  });
  const outputs = await session.run(Object.fromEntries(feeds));
  const tensor = outputs[result] as Tensor;
  const data = Float64Array.from(tensor.data as Iterable<number | bigint>, Number);
  await session.release();
  return { data, shape: tensor.dims };
}
