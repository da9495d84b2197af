import { expect, it } from 'vitest';
import {
  absolute,
  add,
  argmax,
  cast,
  concatenate,
  divide,
  exp,
  gather,
  gelu,
  layerNorm,
  log,
  logSoftmax,
  max,
  maximum,
  mean,
  min,
  minimum,
  multiply,
  negate,
  reciprocal,
  relu,
  scatterRows,
  sigmoid,
  silu,
  softmax,
  sqrt,
  subtract,
  sum,
  type Tensor,
  tanh,
} from '../src/index.ts';
import { assertClose, randomArray, randomIntegers, sharedGpu } from '../src/testing/index.ts';
import { type OnnxInput, type OnnxNode, runOnnx } from './onnx-model.ts';

const close = { relative: 1e-5, absolute: 1e-6 } as const;

function random(shape: readonly number[], seed: number, scale = 3): OnnxInput {
  return {
    data: randomArray(
      shape.reduce((product, size) => product * size, 1),
      seed,
      { scale },
    ),
    shape,
  };
}

/** Compares an op's result to a model's, shape and numbers. */
async function expectSame(
  name: string,
  op: (upload: (input: OnnxInput) => Tensor) => Tensor,
  nodes: readonly OnnxNode[],
  inputs: Readonly<Record<string, OnnxInput>>,
  resultType: 'f32' | 'i64' = 'f32',
): Promise<void> {
  const gpu = await sharedGpu();
  const upload = ({ data, shape, type }: OnnxInput) => gpu.tensor(data, shape, type === 'i64' ? 'u32' : 'f32');
  const result = gpu.tidy(() => op(upload));
  const expected = await runOnnx(nodes, inputs, resultType);
  expect(result.shape, name).toEqual(expected.shape);
  assertClose(await result.read(), expected.data, { ...close, name });
  result.dispose();
}

it('binary operators broadcast as in onnxruntime', async () => {
  const ops = { Add: add, Sub: subtract, Mul: multiply, Div: divide, Max: maximum, Min: minimum };
  const a = random([4, 1, 6], 1);
  const spread = random([3, 1], 2);
  const b = { ...spread, data: Float32Array.from(spread.data, (value) => value + Math.sign(value)) };
  for (const [operator, op] of Object.entries(ops)) {
    const nodes = [{ operator, inputs: ['a', 'b'], output: 'c' }];
    await expectSame(operator, (upload) => op(upload(a), upload(b)), nodes, { a, b });
  }
});

it('unary operators', async () => {
  const x = random([5, 41], 3, 6);
  const positive = { ...x, data: Float32Array.from(x.data, (value) => Math.abs(value) + 0.01) };
  const cases: readonly [string, (x: Tensor) => Tensor, OnnxInput?, OnnxNode['attributes']?][] = [
    ['Neg', negate],
    ['Abs', absolute],
    ['Exp', exp],
    ['Sigmoid', sigmoid],
    ['Tanh', tanh],
    ['Relu', relu],
    ['Gelu', gelu],
    ['Gelu', (value) => gelu(value, { approximate: 'tanh' }), x, { approximate: 'tanh' }],
    ['Log', log, positive],
    ['Sqrt', sqrt, positive],
    ['Reciprocal', reciprocal, positive],
  ];
  for (const [operator, op, input = x, attributes = {}] of cases) {
    const nodes = [{ operator, inputs: ['x'], output: 'y', attributes }];
    await expectSame(operator, (upload) => op(upload(input)), nodes, { x: input });
  }
  const swish = [
    { operator: 'Sigmoid', inputs: ['x'], output: 's' },
    { operator: 'Mul', inputs: ['x', 's'], output: 'y' },
  ];
  await expectSame('silu', (upload) => silu(upload(x)), swish, { x });
});

it('reductions over several axes, and argmax with ties', async () => {
  const x = random([3, 5, 67], 4);
  const ops = { ReduceSum: sum, ReduceMean: mean, ReduceMax: max, ReduceMin: min };
  for (const [operator, op] of Object.entries(ops)) {
    for (const axes of [[0, 2], [1], [2], [0, 1, 2]]) {
      for (const keepDims of [false, true]) {
        const nodes = [{ operator, inputs: ['x', 'axes'], output: 'y', attributes: { keepdims: keepDims ? 1 : 0 } }];
        const inputs = { x, axes: { data: axes, shape: [axes.length], type: 'i64' } } as const;
        const run = (upload: (input: OnnxInput) => Tensor) => op(upload(x), { axis: axes, keepDims });
        await expectSame(`${operator} ${axes}`, run, nodes, inputs);
      }
    }
  }
  const ties = { ...x, data: Float32Array.from(x.data, Math.round) };
  for (const axis of [0, 1, 2]) {
    const nodes = [{ operator: 'ArgMax', inputs: ['x'], output: 'y', attributes: { axis, keepdims: 0 } }];
    await expectSame(`ArgMax ${axis}`, (upload) => argmax(upload(ties), { axis }), nodes, { x: ties }, 'i64');
  }
});

it('softmax and layer norm', async () => {
  const x = random([3, 5, 67], 5, 20);
  for (const axis of [0, 1, 2]) {
    const node = { inputs: ['x'], output: 'y', attributes: { axis } };
    const softmaxNodes = [{ ...node, operator: 'Softmax' }];
    await expectSame(`Softmax ${axis}`, (upload) => softmax(upload(x), { axis }), softmaxNodes, { x });
    const logNodes = [{ ...node, operator: 'LogSoftmax' }];
    await expectSame(`LogSoftmax ${axis}`, (upload) => logSoftmax(upload(x), { axis }), logNodes, { x });
  }
  const [weight, bias] = [random([67], 6), random([67], 7)];
  const attributes = { axis: -1, epsilon: { float: 1e-5 } };
  const nodes = [{ operator: 'LayerNormalization', inputs: ['x', 'weight', 'bias'], output: 'y', attributes }];
  const inputs = { x, weight, bias };
  await expectSame('layerNorm', (upload) => layerNorm(upload(x), upload(weight), upload(bias)), nodes, inputs);
});

it('rows, concatenation, transposed operands and conversion to 16 bits', async () => {
  const x = random([11, 3, 5], 8);
  const indices = { data: randomIntegers(8, 9, 11), shape: [2, 4], type: 'i64' } as const;
  const gatherNodes = [{ operator: 'Gather', inputs: ['x', 'indices'], output: 'y' }];
  await expectSame('Gather', (upload) => gather(upload(x), upload(indices)), gatherNodes, { x, indices });

  const source = random([3, 3, 5], 10);
  const rows = { data: [7, 0, 10], shape: [3, 1], type: 'i64' } as const;
  const scatterNodes = [{ operator: 'ScatterND', inputs: ['x', 'rows', 'source'], output: 'y' }];
  const scatter = (upload: (input: OnnxInput) => Tensor) => {
    const target = upload(x);
    scatterRows(target, upload({ ...rows, shape: [3] }), upload(source));
    return target;
  };
  await expectSame('ScatterND', scatter, scatterNodes, { x, rows, source });

  const other = random([11, 4, 5], 11);
  const concatNodes = [{ operator: 'Concat', inputs: ['x', 'other'], output: 'y', attributes: { axis: 1 } }];
  await expectSame('Concat', (upload) => concatenate([upload(x), upload(other)], 1), concatNodes, { x, other });

  const turned = random([5, 3, 11], 12);
  const transposeNodes = [
    { operator: 'Transpose', inputs: ['turned'], output: 't', attributes: { perm: [2, 1, 0] } },
    { operator: 'Add', inputs: ['x', 't'], output: 'y' },
  ];
  const sumOfViews = (upload: (input: OnnxInput) => Tensor) => add(upload(x), upload(turned).transpose(2, 1, 0));
  await expectSame('Transpose', sumOfViews, transposeNodes, { x, turned });

  for (const [dtype, to] of [
    ['f16', 10],
    ['bf16', 16],
  ] as const) {
    const castNodes = [
      { operator: 'Cast', inputs: ['x'], output: 'narrow', attributes: { to } },
      { operator: 'Cast', inputs: ['narrow'], output: 'y', attributes: { to: 1 } },
    ];
    await expectSame(dtype, (upload) => cast(upload(x), dtype), castNodes, { x });
  }
});
