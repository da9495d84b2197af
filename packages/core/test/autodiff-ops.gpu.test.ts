import { describe, expect, it } from 'vitest';
import * as ad from '../src/autodiff/index.ts';
import { quantizedTensor, ropeFrequencies, ropeTable, uniformNumbers } from '../src/index.ts';
import { hardwareKernelsGpu } from '../src/testing/hardware-kernels-gpu.ts';
import {
  assertClose,
  attentionReference,
  broadcastReference,
  checkGradient,
  crossEntropyReference,
  elementwiseReference,
  gatedActivationReference,
  layerNormReference,
  linearReference,
  logSoftmaxReference,
  matmulReference,
  modestGpu,
  prefixSumReference,
  randomArray,
  rmsNormReference,
  ropeReference,
  sharedGpu,
  softmaxReference,
  transposeReference,
  unaryReference,
} from '../src/testing/index.ts';

const binaries = {
  add: ad.add,
  subtract: ad.subtract,
  multiply: ad.multiply,
  divide: ad.divide,
  maximum: ad.maximum,
  minimum: ad.minimum,
};
const reductions = { sum: ad.sum, mean: ad.mean, max: ad.max, min: ad.min };

type Shape = readonly number[];
const sizeOf = (shape: Shape) => shape.reduce((product, size) => product * size, 1);
const random = (shape: Shape, seed: number, scale = 1) => ({
  shape,
  data: randomArray(sizeOf(shape), seed, { scale }),
});
/** Numbers in [0.5, 1.5). */
const positive = (shape: Shape, seed: number) => ({ shape, data: random(shape, seed).data.map((x) => 1 + x / 2) });

describe.each([
  ['full', sharedGpu],
  ['modest', modestGpu],
  ['hardware kernels', hardwareKernelsGpu],
] as const)('gradients against finite differences on the %s device', (_, open) => {
  const unaries: readonly (readonly [keyof typeof unaryReference, (x: ad.Value) => ad.Value, boolean?])[] = [
    ['negate', ad.negate],
    ['exp', ad.exp],
    ['log', ad.log, true],
    ['sqrt', ad.sqrt, true],
    ['rsqrt', ad.rsqrt, true],
    ['reciprocal', ad.reciprocal, true],
    ['absolute', ad.absolute],
    ['square', ad.square],
    ['sigmoid', ad.sigmoid],
    ['tanh', ad.tanh],
    ['relu', ad.relu],
    ['silu', ad.silu],
    ['gelu', ad.gelu],
    ['geluTanh', (x) => ad.gelu(x, { approximate: 'tanh' })],
    ['geluSigmoid', (x) => ad.gelu(x, { approximate: 'sigmoid' })],
    ['leakyRelu', (x) => ad.leakyRelu(x)],
    ['elu', (x) => ad.elu(x)],
    ['softplus', ad.softplus],
    ['hardSigmoid', ad.hardSigmoid],
    ['hardSwish', ad.hardSwish],
  ];
  it('elementwise ops of one input, also of a strided view', async () => {
    const gpu = await open();
    const before = gpu.stats().liveBytes;
    for (const [name, fn, onlyPositive] of unaries) {
      const input = onlyPositive ? positive([5, 7], 3) : random([5, 7], 3, 4);
      await checkGradient(gpu, {
        name,
        inputs: [input],
        fn: (x) => fn(x),
        reference: (x) => x.map(unaryReference[name]),
      });
    }
    await checkGradient(gpu, {
      name: 'square of a transpose',
      inputs: [random([5, 8], 4)],
      fn: (x) => ad.square(x.transpose()),
      reference: (x) => transposeReference({ data: x.map((v) => v * v), shape: [5, 8] }, [1, 0]),
    });
    expect(gpu.stats().liveBytes).toBe(before);
  });

  it.each(['add', 'subtract', 'multiply', 'divide', 'maximum', 'minimum'] as const)(
    '%s, broadcasting',
    async (name) => {
      const gpu = await open();
      for (const [left, right, out] of [
        [
          [3, 5],
          [3, 5],
          [3, 5],
        ],
        [[2, 3, 5], [5], [2, 3, 5]],
        [
          [2, 1, 5],
          [3, 1],
          [2, 3, 5],
        ],
        [[], [4], [4]],
      ] as const) {
        await checkGradient(gpu, {
          name: `${name} [${left}] [${right}]`,
          inputs: [random(left, 5), positive(right, 6)],
          fn: binaries[name],
          reference: (a, b) => elementwiseReference(name, { data: a, shape: left }, { data: b, shape: right }, out),
        });
      }
    },
  );

  it('matmul: transposed, batched, broadcast', async () => {
    const gpu = await open();
    await checkGradient(gpu, {
      name: 'a b^T',
      inputs: [random([5, 7], 7), random([3, 7], 8)],
      fn: (a, b) => ad.matmul(a, b.transpose()),
      reference: (a, b) => linearReference(a, b, 5, 7, 3),
    });
    await checkGradient(gpu, {
      name: 'batch against one',
      inputs: [random([2, 3, 4], 9), random([1, 4, 5], 10)],
      fn: (a, b) => ad.matmul(a, b),
      reference: (a, b) => matmulReference(a, b, 6, 4, 5),
    });
  });

  it('linear with bias and residual, of a batch', async () => {
    const gpu = await open();
    await checkGradient(gpu, {
      inputs: [random([2, 3, 7], 11), random([5, 7], 12), random([5], 13), random([2, 3, 5], 14)],
      fn: (x, weight, bias, residual) =>
        ad.linear(x, weight, {
          bias: bias,
          residual: residual,
        }),
      reference: (x, weight, bias, residual) =>
        linearReference(x, weight, 6, 7, 5, {
          bias: bias,
          residual: residual,
        }),
    });
  });

  it('reductions', async () => {
    const gpu = await open();
    const x = random([3, 4, 5], 15);
    const picks = {
      sum: (values: number[]) => values.reduce((a, b) => a + b),
      max: (values: number[]) => Math.max(...values),
      min: (values: number[]) => Math.min(...values),
      mean: (values: number[]) => values.reduce((a, b) => a + b) / values.length,
    };
    for (const name of ['sum', 'mean', 'max', 'min'] as const) {
      await checkGradient(gpu, {
        name: `${name} over axis 1`,
        inputs: [x],
        fn: (a) => reductions[name](a, { axis: 1 }),
        reference: (a) =>
          Array.from({ length: 15 }, (__, at) => {
            const [outer, inner] = [Math.floor(at / 5), at % 5];
            return picks[name]([0, 1, 2, 3].map((middle) => a[outer * 20 + middle * 5 + inner] as number));
          }),
      });
      await checkGradient(gpu, {
        name: `${name} of all`,
        inputs: [x],
        fn: (a) => reductions[name](a),
        reference: (a) => [picks[name]([...a])],
      });
    }
  });

  it('softmax and its logarithm, along any axis and over long rows', async () => {
    const gpu = await open();
    for (const [name, fn, reference] of [
      ['softmax', ad.softmax, softmaxReference],
      ['logSoftmax', ad.logSoftmax, logSoftmaxReference],
    ] as const) {
      await checkGradient(gpu, {
        name,
        inputs: [random([2, 71], 16, 3)],
        fn: (x) => fn(x),
        reference: (x) => reference(x, 71),
      });
      await checkGradient(gpu, {
        name: `${name} along axis 0`,
        inputs: [random([4, 3], 17, 3)],
        fn: (x) => fn(x, { axis: 0 }),
        reference: (x) => {
          const columns = reference(transposeReference({ data: x, shape: [4, 3] }, [1, 0]), 4);
          return transposeReference({ data: columns, shape: [3, 4] }, [1, 0]);
        },
      });
    }
  });

  it('cross-entropy with ignored rows and label smoothing', async () => {
    const gpu = await open();
    const targets = [2, 0, 99, 36];
    for (const options of [{}, { ignoreIndex: 99 }, { ignoreIndex: 99, labelSmoothing: 0.2 }]) {
      const list = options.ignoreIndex ? targets : [2, 0, 5, 36];
      const ids = gpu.tensor(list, [4], 'u32');
      await checkGradient(gpu, {
        name: JSON.stringify(options),
        inputs: [random([4, 37], 18, 5)],
        fn: (logits) => ad.crossEntropy(logits, ids, options),
        reference: (logits) => crossEntropyReference(logits, list, 37, options),
      });
      ids.dispose();
    }
  });

  it('norms', async () => {
    const gpu = await open();
    for (const columns of [7, 131]) {
      await checkGradient(gpu, {
        name: `rmsNorm of ${columns}`,
        inputs: [random([3, columns], 19), positive([columns], 20)],
        fn: (x, weight) => ad.rmsNorm(x, weight),
        reference: (x, weight) => rmsNormReference(x, weight, 1e-6),
      });
      await checkGradient(gpu, {
        name: `layerNorm of ${columns}`,
        inputs: [random([3, columns], 21), positive([columns], 22), random([columns], 23)],
        fn: (x, weight, bias) => ad.layerNorm(x, weight, bias),
        reference: (x, weight, bias) => layerNormReference(x, weight, bias, 1e-5),
      });
    }
  });

  it('rows: embedding, gather, scatterAdd and scatterRows, with repeated indices and some outside', async () => {
    const gpu = await open();
    const list = [4, 1, 4, 4, 0, 77, 1];
    const ids = gpu.tensor(list, [7], 'u32');
    const places = gpu.tensor([3, 0], [2], 'u32');
    const rowsOf = (x: Float64Array) =>
      list.flatMap((id) => [0, 1, 2].map((column) => (id < 5 ? (x[id * 3 + column] as number) : 0)));
    for (const fn of [ad.embedding, ad.gather]) {
      await checkGradient(gpu, {
        name: fn.name,
        inputs: [random([5, 3], 24)],
        fn: (x) => fn(x, ids),
        reference: (x) => rowsOf(x),
      });
    }
    await checkGradient(gpu, {
      name: 'scatterAdd',
      inputs: [random([7, 3], 25)],
      fn: (x) => ad.scatterAdd(x, ids, 5),
      reference: (x) => {
        const out = new Float64Array(15);
        list.forEach((id, row) => {
          for (let column = 0; id < 5 && column < 3; column++)
            out[id * 3 + column] = (out[id * 3 + column] as number) + (x[row * 3 + column] as number);
        });
        return out;
      },
    });
    await checkGradient(gpu, {
      name: 'scatterRows',
      inputs: [random([4, 2], 26), random([2, 2], 27)],
      fn: (target, source) => ad.scatterRows(target, places, source),
      reference: (target, source) => {
        const out = Float64Array.from(target);
        out.set(source.subarray(0, 2), 6);
        out.set(source.subarray(2, 4), 0);
        return out;
      },
    });
    ids.dispose();
    places.dispose();
  });

  it('padding, parts, and elements along an axis with repeated indices and some outside', async () => {
    const gpu = await open();
    await checkGradient(gpu, {
      name: 'pad',
      inputs: [random([2, 3], 50)],
      fn: (x) =>
        ad.pad(
          x,
          [
            [1, 0],
            [0, 2],
          ],
          7,
        ),
      reference: (x) => [7, 7, 7, 7, 7, x[0], x[1], x[2], 7, 7, x[3], x[4], x[5], 7, 7] as number[],
    });
    await checkGradient(gpu, {
      name: 'split',
      inputs: [random([2, 5], 51)],
      fn: (x) => {
        const [a, b, c] = ad.split(x, [2, 2, 1]) as [ad.Value, ad.Value, ad.Value];
        return ad.multiply(ad.multiply(a, b), c);
      },
      reference: (x) =>
        [0, 5].flatMap((row) =>
          [0, 1].map((at) => (x[row + at] as number) * (x[row + 2 + at] as number) * (x[row + 4] as number)),
        ),
    });
    const list = [2, 0, 2, 9, 1, 1, 0, 0, 2, 2, 1, 0];
    const indices = gpu.tensor(list, [2, 3, 2], 'u32');
    await checkGradient(gpu, {
      name: 'takeAlongAxis',
      inputs: [random([2, 3, 2], 52)],
      fn: (x) => ad.takeAlongAxis(x, indices, 1),
      reference: (x) =>
        list
          .map((index, at) => x[Math.floor(at / 6) * 6 + index * 2 + (at % 2)] ?? 0)
          .map((value, at) => (list[at] === 9 ? 0 : value)),
    });
    indices.dispose();
  });

  it('views: slice, reshape, transpose, broadcastTo, concatenate', async () => {
    const gpu = await open();
    await checkGradient(gpu, {
      inputs: [random([3, 4], 28), random([1, 4], 29)],
      fn: (a, b) => {
        const [x, y] = [a, b];
        const joined = ad.concatenate([x.slice(0, 1, 3), y.broadcastTo([2, 4]), x.slice(0, 1, 2)], 0);
        return joined.transpose().reshape([2, 10]);
      },
      reference: (a, b) => {
        const [x, y] = [a, b];
        const joined = [
          ...x.subarray(4, 12),
          ...broadcastReference({ data: y, shape: [1, 4] }, [2, 4]),
          ...x.subarray(4, 8),
        ];
        return transposeReference({ data: joined, shape: [5, 4] }, [1, 0]);
      },
    });
  });

  it('gated activation, rotary embedding, running sums', async () => {
    const gpu = await open();
    for (const activation of ['silu', 'sigmoid', 'gelu', 'geluTanh'] as const) {
      await checkGradient(gpu, {
        name: activation,
        inputs: [random([3, 5], 30, 3), random([3, 5], 31)],
        fn: (gate, up) => ad.gatedActivation(gate, up, { activation }),
        reference: (gate, up) => gatedActivationReference(gate, up, activation),
      });
    }
    await checkGradient(gpu, {
      name: 'gate and up side by side',
      inputs: [random([3, 10], 40, 3)],
      fn: (both) => ad.gatedActivation(both, { activation: 'silu' }),
      reference: (both) => {
        const half = (start: number) => both.filter((__, at) => Math.floor((at % 10) / 5) === start);
        return gatedActivationReference(half(0), half(1), 'silu');
      },
    });
    const settings = { rotarySize: 4, positions: 9, scaling: { type: 'yarn', factor: 2, originalContext: 4 } } as const;
    const table = ropeTable(gpu, settings);
    const positions = gpu.tensor([7, 2, 2], [3], 'u32');
    for (const layout of ['half', 'interleaved'] as const) {
      await checkGradient(gpu, {
        name: `rope ${layout}`,
        inputs: [random([3, 2, 6], 32)],
        fn: (x) => ad.rope(x, table, { layout, positions }),
        reference: (x) =>
          ropeReference(x, [1, 3, 2, 6], {
            ...ropeFrequencies(settings),
            position: (__, token) => [7, 2, 2][token] as number,
            layout,
          }),
      });
    }
    positions.dispose();
    table.dispose();
    for (const exclusive of [false, true]) {
      await checkGradient(gpu, {
        name: 'prefixSum',
        inputs: [random([2, 37], 33)],
        fn: (x) => ad.prefixSum(x, { exclusive }),
        reference: (x) => [0, 37].flatMap((start) => [...prefixSumReference(x.subarray(start, start + 37), exclusive)]),
      });
    }
  });

  // The engine's own tests compile its kernels for hardware, which takes a software adapter seconds.
  it.skipIf(open === hardwareKernelsGpu)(
    'attention: grouped heads, causal, with sinks; self-attention of one value',
    async () => {
      const gpu = await open();
      const sizes = { batches: 1, heads: 4, kvHeads: 2, queries: 5, keys: 7, headSize: 16 };
      const logits = [0.5, -1, 0, 2];
      const sinks = gpu.tensor(logits);
      await checkGradient(gpu, {
        inputs: [random([1, 4, 5, 16], 36), random([1, 2, 7, 16], 37), random([1, 2, 7, 16], 38)],
        fn: (q, k, v) => ad.attention(q, k, v, { causal: true, scoreModifiers: [{ kind: 'sinks', logits: sinks }] }),
        reference: (q, k, v) =>
          attentionReference({ ...sizes, q, k, v, causal: true, scoreModifiers: [{ kind: 'sinks', logits }] }).output,
      });
      sinks.dispose();
      const alone = { batches: 1, heads: 2, kvHeads: 2, queries: 3, keys: 3, headSize: 8 };
      await checkGradient(gpu, {
        inputs: [random([1, 2, 3, 8], 39)],
        fn: (x) => ad.attention(x, x, x),
        reference: (x) => attentionReference({ ...alone, q: x, k: x, v: x }).output,
      });
    },
  );

  it('dropout: the numbers of randomUniform decide, forward and back', async () => {
    const gpu = await open();
    const options = { rate: 0.4, seed: 5, stream: 3 };
    const kept = uniformNumbers(131, options).map((number) => (number >= 0.4 ? 1 / 0.6 : 0));
    expect(kept.filter((each) => each === 0).length).toBeGreaterThan(30);
    await checkGradient(gpu, {
      inputs: [random([131], 34)],
      fn: (x) => ad.dropout(x, options),
      reference: (x) => x.map((value, at) => value * (kept[at] as number)),
    });
  });

  it('weights in 16 bits are constants that pass the gradient on', async () => {
    const gpu = await open();
    for (const dtype of ['f16', 'bf16'] as const) {
      // Multiples of 1/64 below 1 are exact in both.
      const weights = Array.from({ length: 3 * 7 }, (__, at) => ((at * 37) % 127) / 64 - 1);
      const scales = Array.from({ length: 7 }, (__, at) => 1 + at / 8);
      const [weight, norm] = [gpu.tensor(weights, [3, 7], dtype), gpu.tensor(scales, [7], dtype)];
      await checkGradient(gpu, {
        name: dtype,
        inputs: [random([5, 7], 41)],
        fn: (x) => ad.linear(ad.rmsNorm(x, norm), weight),
        reference: (x) => linearReference(rmsNormReference(x, scales, 1e-6), weights, 5, 7, 3),
      });
      weight.dispose();
      norm.dispose();
    }
  });

  it('a frozen quantized weight passes the gradient on to x', async () => {
    const gpu = await open();
    const blocks = new Uint8Array(34 * 3 * 2);
    const view = new DataView(blocks.buffer);
    const weights = Array.from({ length: 6 * 32 }, (__, at) => ((at * 37) % 255) - 127);
    for (let block = 0; block < 6; block++) {
      view.setUint16(34 * block, 0x2000, true); // the scale 2^-7
      for (let at = 0; at < 32; at++) view.setInt8(34 * block + 2 + at, weights[32 * block + at] as number);
    }
    const weight = quantizedTensor(gpu, 'q8_0', [3, 64], blocks);
    await checkGradient(gpu, {
      inputs: [random([2, 64], 35)],
      fn: (x) => ad.linear(x, weight),
      reference: (x) =>
        linearReference(
          x,
          weights.map((each) => each / 128),
          2,
          64,
          3,
        ),
    });
    weight.dispose();
  });
});

it('what does not fit is refused by name', async () => {
  const gpu = await sharedGpu();
  gpu.tidy(() => {
    const x = gpu.zeros([2, 3]);
    expect(() => ad.pad(x, [[1, 1]])).toThrow(/pad: padding: got \[\[1,1\]\]; allowed: .* for each axis of \[2,3\]/);
    expect(() => ad.split(x, [1, 1])).toThrow(/split: sizes: got \[1,1\]; allowed: .* add up to 3/);
    expect(() => ad.takeAlongAxis(x, gpu.zeros([3, 1], 'u32'))).toThrow(/u32\[3,1\] do not fit x \[2,3\]/);
    expect(() => ad.leakyRelu(x, Number.NaN)).toThrow(/leakyRelu: slope/);
  });
});

it('equal extremes share the gradient', async () => {
  const gpu = await sharedGpu();
  const x = gpu.tensor([2, 1, 2, 0], [4]);
  const { value, gradients } = ad.valueAndGrad((a) => ad.max(a), x);
  const { gradients: other, value: second } = ad.valueAndGrad(
    (a) => ad.sum(ad.maximum(a, gpu.tensor([2, 3, 1, 0]))),
    x,
  );
  assertClose(await gradients[0].read(), [0.5, 0, 0.5, 0]);
  assertClose(await other[0].read(), [0.5, 0, 1, 0.5]);
  for (const tensor of [x, value, second, ...gradients, ...other]) tensor.dispose();
});
