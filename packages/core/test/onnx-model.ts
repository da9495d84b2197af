import { InferenceSession, Tensor } from 'onnxruntime-node';

/** Input of a model: i64 for indices and axes, f32 else. */
export interface OnnxInput {
  readonly data: ArrayLike<number>;
  readonly shape: readonly number[];
  readonly type?: 'f32' | 'i64';
}

/** One operator: reads the named values, writes a value. */
export interface OnnxNode {
  readonly operator: string;
  readonly inputs: readonly string[];
  readonly output: string;
  /** Whole numbers become integers; write floats as `{ float }`. */
  readonly attributes?: Readonly<Record<string, number | string | readonly number[] | { readonly float: number }>>;
}

// Just enough of Protocol Buffers to write a model: fields of varint, bytes and f32.

function varint(value: number): number[] {
  const bytes: number[] = [];
  let rest = BigInt.asUintN(64, BigInt(value));
  while (rest > 0x7fn) {
    bytes.push(Number(rest & 0x7fn) | 0x80);
    rest >>= 7n;
  }
  return [...bytes, Number(rest)];
}

function integer(field: number, value: number): number[] {
  return [...varint(field * 8), ...varint(value)];
}

function bytes(field: number, value: readonly number[] | string): number[] {
  const content = typeof value === 'string' ? [...new TextEncoder().encode(value)] : value;
  return [...varint(field * 8 + 2), ...varint(content.length), ...content];
}

function float(field: number, value: number): number[] {
  return [...varint(field * 8 + 5), ...new Uint8Array(Float32Array.of(value).buffer)];
}

function attribute(name: string, value: NonNullable<OnnxNode['attributes']>[string]): number[] {
  const head = bytes(1, name);
  if (typeof value === 'number') return [...head, ...integer(3, value), ...integer(20, 2)];
  if (typeof value === 'string') return [...head, ...bytes(4, value), ...integer(20, 3)];
  if ('float' in value) return [...head, ...float(2, value.float), ...integer(20, 1)];
  return [...head, ...value.flatMap((each) => integer(8, each)), ...integer(20, 7)];
}

const elementTypes = { f32: 1, i64: 7 } as const;

function valueInfo(name: string, type: 'f32' | 'i64', shape?: readonly number[]): number[] {
  const dimensions = shape
    ? bytes(
        2,
        shape.flatMap((size) => bytes(1, integer(1, size))),
      )
    : [];
  const tensorType = [...integer(1, elementTypes[type]), ...dimensions];
  return [...bytes(1, name), ...bytes(2, bytes(1, tensorType))];
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
  const graph = [
    ...nodes.flatMap((node) =>
      bytes(1, [
        ...node.inputs.flatMap((name) => bytes(1, name)),
        ...bytes(2, node.output),
        ...bytes(4, node.operator),
        ...Object.entries(node.attributes ?? {}).flatMap(([name, value]) => bytes(5, attribute(name, value))),
      ]),
    ),
    ...bytes(2, 'graph'),
    ...Object.entries(inputs).flatMap(([name, { shape, type = 'f32' }]) => bytes(11, valueInfo(name, type, shape))),
    ...bytes(12, valueInfo(result, resultType)),
  ];
  const operatorSet = [...bytes(1, ''), ...integer(2, 20)];
  const model = Uint8Array.from([...integer(1, 9), ...bytes(7, graph), ...bytes(8, operatorSet)]);
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
