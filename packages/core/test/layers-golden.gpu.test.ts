import { describe, it } from 'vitest';
import * as ad from '../src/autodiff/index.ts';
import { copyInto, type Gpu, type InterpolateOptions, type Tensor } from '../src/index.ts';
import { BatchNorm, Initializer } from '../src/nn/index.ts';
import { assertClose, modestGpu, sharedGpu } from '../src/testing/index.ts';
import { goldenTensors } from './golden-tensors.ts';

const golden = goldenTensors('layers');

type Layer<N extends string> = (inputs: Readonly<Record<N, ad.Tracked>>) => ad.Value;

/** Compares the output of a layer, and the gradients of the sum of its output times random numbers, with PyTorch's. */
async function compare<const N extends string>(
  gpu: Gpu,
  test: string,
  names: readonly N[],
  layer: Layer<N>,
  source = test,
): Promise<void> {
  const upload = (name: string) => gpu.tensor(golden(name).data, golden(name).shape);
  const results: Record<string, Tensor> = gpu.tidy(() => {
    const inputs = Object.fromEntries(names.map((name) => [name, upload(`${source}.${name}`)])) as Record<N, Tensor>;
    const kept: Tensor[] = [];
    const { gradients } = ad.valueAndGrad((tracked) => {
      const output = layer(tracked as Readonly<Record<N, ad.Tracked>>);
      kept.push(gpu.keep(ad.stopGradient(output)));
      return ad.sum(ad.multiply(output, upload(`${test}.probe`)));
    }, inputs);
    const found = Object.entries(gradients[0] as Record<string, Tensor>);
    return {
      ...Object.fromEntries(found.map(([name, gradient]) => [`${test}.grad.${name}`, gradient])),
      [`${test}.out`]: kept[0] as Tensor,
    };
  });
  for (const [name, result] of Object.entries(results)) {
    const { data } = golden(name);
    const largest = Math.max(...Array.from(data, Math.abs));
    assertClose(await result.read(), data, { relative: 1e-4, absolute: 5e-6 * largest, name });
    result.dispose();
  }
}

describe.each([
  ['full', sharedGpu],
  ['modest', modestGpu],
] as const)("layers against PyTorch's on the %s device", (_, open) => {
  it('convolutions', async () => {
    const gpu = await open();
    const names = ['x', 'weight', 'bias'] as const;
    await compare(gpu, 'conv2d', names, ({ x, weight, bias }) =>
      ad.conv2d(x, weight, { bias, stride: [2, 1], padding: [1, 2], dilation: [1, 2], groups: 2 }),
    );
    await compare(gpu, 'depthwise', names, ({ x, weight, bias }) =>
      ad.conv2d(x, weight, { bias, padding: 1, groups: 3 }),
    );
    await compare(gpu, 'conv1d', names, ({ x, weight, bias }) => ad.conv1d(x, weight, { bias, stride: 2, padding: 3 }));
    await compare(gpu, 'conv_transpose2d', names, ({ x, weight, bias }) =>
      ad.convTranspose2d(x, weight, {
        bias,
        stride: [2, 3],
        padding: [1, 0],
        dilation: [1, 2],
        outputPadding: [1, 0],
        groups: 2,
      }),
    );
  });

  it('pools', async () => {
    const gpu = await open();
    const window = { kernel: [3, 2], stride: 2, padding: 1 } as const;
    const pools: Record<string, (x: ad.Value) => ad.Value> = {
      max_pool2d: (x) => ad.maxPool2d(x, { kernel: [3, 2], stride: [2, 1], padding: 1, dilation: [1, 2] }),
      avg_pool2d: (x) => ad.avgPool2d(x, window),
      avg_pool2d_inside: (x) => ad.avgPool2d(x, { ...window, countIncludePad: false }),
      adaptive_avg_pool2d: (x) => ad.adaptiveAvgPool2d(x, [4, 3]),
    };
    for (const [name, pool] of Object.entries(pools)) await compare(gpu, name, ['x'], ({ x }) => pool(x), 'pool');
  });

  it('activations', async () => {
    const gpu = await open();
    const activations: Record<string, (x: ad.Value) => ad.Value> = {
      leaky_relu: (x) => ad.leakyRelu(x, 0.1),
      elu: (x) => ad.elu(x, 1.5),
      softplus: ad.softplus,
      hardsigmoid: ad.hardSigmoid,
      hardswish: ad.hardSwish,
    };
    for (const [name, each] of Object.entries(activations)) {
      await compare(gpu, name, ['x'], ({ x }) => each(x), 'activation');
    }
  });

  it('interpolation and sampling', async () => {
    const gpu = await open();
    for (const size of [
      [8, 11],
      [3, 4],
    ] as const) {
      const name = size.join('x');
      const resize = (test: string, options: Omit<InterpolateOptions, 'size'>) =>
        compare(gpu, test, ['x'], ({ x }) => ad.interpolate(x, { size, ...options }), 'interpolation');
      await resize(`bilinear_${name}`, {});
      await resize(`bilinear_${name}_aligned`, { alignCorners: true });
      await resize(`nearest_${name}`, { mode: 'nearest' });
    }
    for (const padding of ['zeros', 'border'] as const) {
      for (const alignCorners of [false, true]) {
        await compare(
          gpu,
          `grid_sample_${padding}${alignCorners ? '_aligned' : ''}`,
          ['x', 'grid'],
          ({ x, grid }) => ad.gridSample(x, grid, { padding, alignCorners }),
          'grid_sample',
        );
      }
    }
  });

  it('norms over channels', async () => {
    const gpu = await open();
    const names = ['x', 'weight', 'bias'] as const;
    const norm = new BatchNorm(new Initializer(gpu), { size: 6 });
    for (const [name, parameter] of [
      ['mean', norm.running_mean],
      ['var', norm.running_var],
    ] as const) {
      gpu.tidy(() => copyInto(parameter.tensor, gpu.tensor(golden(`batch_norm.${name}`).data)));
    }
    const layer: Layer<(typeof names)[number]> = ({ x, weight, bias }) =>
      norm.weight.track(weight, () => norm.bias.track(bias, () => norm.forward(x)));
    norm.eval();
    await compare(gpu, 'batch_norm_evaluation', names, layer, 'norm');
    norm.train();
    await compare(gpu, 'batch_norm', names, layer, 'norm');
    for (const [name, parameter] of [
      ['mean', norm.running_mean],
      ['var', norm.running_var],
    ] as const) {
      assertClose(await parameter.tensor.read(), golden(`batch_norm.${name}.after`).data, { relative: 1e-5, name });
    }
    norm.dispose();
    await compare(gpu, 'group_norm', names, ({ x, weight, bias }) => ad.groupNorm(x, 3, { weight, bias }), 'norm');
  });
});
