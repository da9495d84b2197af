import { describe, expect, it } from 'vitest';
import * as ad from '../src/autodiff/index.ts';
import * as core from '../src/index.ts';
import { assertClose, modestGpu, randomArray, sharedGpu } from '../src/testing/index.ts';

describe.each([
  ['full', sharedGpu],
  ['modest', modestGpu],
] as const)('valueAndGrad on the %s device', (_, open) => {
  it('gives gradients in the structure of the arguments; zeros for those without influence', async () => {
    const gpu = await open();
    const before = gpu.stats().liveBytes;
    const [w, b, unused] = [gpu.tensor([1, -2, 3]), gpu.tensor([4], []), gpu.tensor([5, 6])];
    const { value, gradients } = ad.valueAndGrad(
      ({ weight, rest }, bias) => {
        expect(rest[0].shape).toEqual([2]);
        return ad.sum(ad.add(ad.square(weight), ad.multiply(weight, bias)));
      },
      { weight: w, rest: [unused] as [core.Tensor] },
      b,
    );
    expect(value.shape).toEqual([]);
    assertClose(await value.read(), [14 + 8], { relative: 1e-6 });
    assertClose(await gradients[0].weight.read(), [6, 0, 10], { relative: 1e-6 });
    assertClose(await gradients[0].rest[0].read(), [0, 0]);
    assertClose(await gradients[1].read(), [2], { relative: 1e-6 });
    for (const tensor of [w, b, unused, value, gradients[0].weight, gradients[0].rest[0], gradients[1]])
      tensor.dispose();
    expect(gpu.stats().liveBytes).toBe(before);
  });

  it('adds what a value contributes by several ways, to the last bit the same each time', async () => {
    const gpu = await open();
    const x = gpu.tensor(randomArray(1000, 1), [10, 100]);
    const ids = gpu.tensor([3, 3, 1, 3, 9, 1], [6], 'u32');
    const run = () =>
      ad.valueAndGrad((a) => {
        const rows = ad.embedding(a, ids);
        return ad.add(ad.sum(ad.softmax(ad.matmul(rows, a.transpose()))), ad.mean(ad.multiply(ad.gelu(a), a)));
      }, x);
    const [first, second] = [run(), run()];
    expect(await second.gradients[0].read()).toEqual(await first.gradients[0].read());
    for (const { value, gradients } of [first, second]) for (const tensor of [value, ...gradients]) tensor.dispose();
    x.dispose();
    ids.dispose();
  });
});

it('intermediates that no gradient reads are freed when the function returns, the others as they are used', async () => {
  const gpu = await sharedGpu();
  const mebibytes = 2 ** 18;
  const x = gpu.tensor(randomArray(mebibytes, 2));
  const bytes = gpu.bytesOf(x);
  const peakOf = (layer: (a: ad.Value) => ad.Value, layers: number) =>
    gpu.dryRun(() => {
      ad.valueAndGrad((a) => {
        let y: ad.Value = a;
        for (let i = 0; i < layers; i++) y = layer(y);
        return ad.sum(y);
      }, x);
    });
  // The forward pass holds 16 results; for the backward pass none of them is read again.
  expect(peakOf((y) => ad.scale(y, 0.5), 16)).toBeLessThan(17.5 * bytes);
  // exp reads its results: as the backward pass makes a gradient it frees one, so the peak stays that of the forward pass.
  expect(peakOf(ad.exp, 16)).toBeLessThan(19.5 * bytes);
  x.dispose();
});

it('a scope inside of the function frees no value that the backward pass needs', async () => {
  const gpu = await sharedGpu();
  const before = gpu.stats().liveBytes;
  const x = gpu.tensor([1, 2, 3]);
  const { value, gradients } = ad.valueAndGrad(
    (a) => gpu.tidy(() => ad.sum(gpu.tidy(() => ad.multiply(ad.exp(a), gpu.tensor([1, 0, 2]))))),
    x,
  );
  assertClose(await gradients[0].read(), [Math.E, 0, 2 * Math.exp(3)], { relative: 1e-5 });
  for (const tensor of [x, value, ...gradients]) tensor.dispose();
  expect(gpu.stats().liveBytes).toBe(before);
});

it('without anything tracked, ops are the plain ops: tensors, and as many dispatches', async () => {
  const gpu = await sharedGpu();
  const [x, w] = [gpu.tensor(randomArray(64, 3), [8, 8]), gpu.tensor(randomArray(8, 4))];
  const dispatchesOf = (work: () => unknown) => {
    const { dispatches } = gpu.stats();
    gpu.tidy(() => {
      work();
    });
    return gpu.stats().dispatches - dispatches;
  };
  const plain = dispatchesOf(() => core.softmax(core.matmul(core.rmsNorm(x, w), x.transpose())));
  expect(dispatchesOf(() => ad.softmax(ad.matmul(ad.rmsNorm(x, w), x.transpose())))).toBe(plain);
  const result = ad.silu(x);
  expect(result).toBeInstanceOf(core.Tensor);
  for (const tensor of [x, w, result as core.Tensor]) tensor.dispose();
});

it('gradients are computed for tracked inputs alone', async () => {
  const gpu = await sharedGpu();
  const [x, w] = [gpu.tensor(randomArray(64, 3), [8, 8]), gpu.tensor(randomArray(64, 4), [8, 8])];
  const dispatchesOf = (work: () => unknown) => {
    const { dispatches } = gpu.stats();
    gpu.tidy(() => {
      work();
    });
    return gpu.stats().dispatches - dispatches;
  };
  const both = dispatchesOf(() => ad.valueAndGrad((a, b) => ad.sum(ad.matmul(a, b)), x, w));
  const one = dispatchesOf(() => ad.valueAndGrad((a) => ad.sum(ad.matmul(a, w)), x));
  expect(both - one).toBe(1);
  x.dispose();
  w.dispose();
});

it('customGradient replaces the derivative, stopGradient ends it', async () => {
  const gpu = await sharedGpu();
  const before = gpu.stats().liveBytes;
  const x = gpu.tensor([0.4, -1.7, 2.6]);
  // A straight-through estimate: the sign forward, the identity back within [-2, 2].
  const straight = (input: ad.Value) =>
    ad.customGradient('sign', [input], (a) => ({
      output: core.scale(core.relu(a as core.Tensor), 0, 1),
      saved: [a as core.Tensor],
      backward: (gradient, [saved]) => [core.multiply(gradient, core.relu(core.negate(saved as core.Tensor)))],
    }));
  const { value, gradients } = ad.valueAndGrad(
    (a) => ad.sum(ad.add(straight(a), ad.multiply(a, ad.stopGradient(a)))),
    x,
  );
  assertClose(await gradients[0].read(), [0.4, 1.7 - 1.7, 2.6], { absolute: 1e-6 });
  for (const tensor of [x, value, ...gradients]) tensor.dispose();
  expect(gpu.stats().liveBytes).toBe(before);
});

it('refuses what cannot be differentiated, and frees everything', async () => {
  const gpu = await sharedGpu();
  const before = gpu.stats().liveBytes;
  const x = gpu.tensor([1, 2]);
  const integers = gpu.tensor([1, 2], [2], 'u32');
  expect(() => ad.valueAndGrad((a) => a, x)).toThrow(core.ShapeError);
  expect(() => ad.valueAndGrad((a) => ad.sum(a), integers)).toThrow(core.ShapeError);
  expect(() => ad.valueAndGrad(() => ad.sum(x), x)).toThrow(core.ArgumentError);
  expect(() => ad.valueAndGrad((a) => ad.sum(ad.stopGradient(a)), x)).toThrow(core.ArgumentError);
  expect(() => ad.valueAndGrad(() => x, 3)).toThrow(core.ArgumentError);
  let escaped: ad.Tracked | undefined;
  const { value, gradients } = ad.valueAndGrad((a) => {
    escaped = a;
    return ad.sum(a);
  }, x);
  expect(() => ad.sum(escaped as ad.Tracked)).toThrow(core.DisposedError);
  expect(() => ad.valueAndGrad((a) => ad.sum(ad.add(a, escaped as ad.Tracked)), x)).toThrow(core.RefusedError);
  const wrong = () =>
    ad.valueAndGrad(
      (a) =>
        ad.sum(
          ad.customGradient('bad', [a], (y) => ({
            output: y as core.Tensor,
            saved: [],
            backward: () => [gpu.zeros([3])],
          })),
        ),
      x,
    );
  expect(wrong).toThrow(/bad: the gradient of input 0 is \[3\], the input \[2\]/);
  for (const tensor of [x, integers, value, ...gradients]) tensor.dispose();
  expect(gpu.stats().liveBytes).toBe(before);
});
