import { defineKernel } from '../../kernels/kernel.ts';
import { lanesPerRow, workgroupReduction } from '../../kernels/wgsl-reduce.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { imageParameters, imageValues, overWindow, overWindowsOf } from '../windows.ts';
import type { ConvolutionSizes } from './sizes.ts';

/**
 * Convolutions with one output channel per group, such as depthwise ones: each result is added up by one owner, without columns, which would
 * cost more than they save where nothing shares them.
 */

const workgroupSize = 64;

const groupParameters = [
  ['group_inputs', 'u32'],
  ['group_outputs', 'u32'],
] as const;

const groupValues = ({ inputs, outputs, groups }: ConvolutionSizes) => [inputs / groups, outputs / groups];

const bindings = (names: readonly [string, string, string]) =>
  names.map((name, index) => ({
    name,
    type: 'array<f32>',
    access: index === 2 ? ('read_write' as const) : ('read' as const),
  }));

/** One invocation per output. */
const forwardKernel = defineKernel({
  name: 'convolution.direct',
  bindings: () => bindings(['image', 'weight', 'out']),
  parameters: [...imageParameters, ...groupParameters],
  workgroupSize: () => workgroupSize,
  source: () => ({
    main: `
  let at = group * ${workgroupSize}u + lane;
  if (at >= params.total) { return; }
  let ox = at % params.out_width;
  let oy = at / params.out_width % params.out_height;
  let plane = at / params.out_width / params.out_height;
  let groups = params.channels / params.group_inputs;
  let output = plane % (groups * params.group_outputs);
  let first = plane / (groups * params.group_outputs) * params.channels + output / params.group_outputs * params.group_inputs;
  let taps = params.kernel_height * params.kernel_width;
  var sum = 0.0;
  for (var input = 0u; input < params.group_inputs; input++) {
    let from_image = (first + input) * params.height * params.width;
    let from_weight = (output * params.group_inputs + input) * taps;
    ${overWindow('sum += image[from_image + y * params.width + x] * weight[from_weight + tap];')}
  }
  out[at] = sum;`,
  }),
});

/** One invocation per element of the image. */
const inputKernel = defineKernel({
  name: 'convolution.directInput',
  bindings: () => bindings(['gradient', 'weight', 'result']),
  parameters: [...imageParameters, ...groupParameters],
  workgroupSize: () => workgroupSize,
  source: () => ({
    main: `
  let at = group * ${workgroupSize}u + lane;
  if (at >= params.total) { return; }
  let x = at % params.width;
  let y = at / params.width % params.height;
  let plane = at / params.width / params.height;
  let input = plane % params.channels;
  let outputs = params.channels / params.group_inputs * params.group_outputs;
  let first = input / params.group_inputs * params.group_outputs;
  let taps = params.kernel_height * params.kernel_width;
  var sum = 0.0;
  for (var output = first; output < first + params.group_outputs; output++) {
    let from_gradient = (plane / params.channels * outputs + output) * params.out_height * params.out_width;
    let from_weight = (output * params.group_inputs + input % params.group_inputs) * taps;
    ${overWindowsOf('sum += gradient[from_gradient + oy * params.out_width + ox] * weight[from_weight + tap];')}
  }
  result[at] = sum;`,
  }),
});

/** One workgroup per element of the weight: its lanes share the windows of all images. */
const weightKernel = defineKernel<{ readonly lanes: number }>({
  name: 'convolution.directWeight',
  bindings: () => bindings(['image', 'gradient', 'result']),
  parameters: [...imageParameters, ...groupParameters, ['images', 'u32']],
  workgroupSize: ({ lanes }) => lanes,
  source: ({ lanes }, capabilities) => ({
    declarations: workgroupReduction('window_sum', lanes, 'a + b', capabilities),
    main: `
  let taps = params.kernel_height * params.kernel_width;
  let tap = group % taps;
  let offset_y = tap / params.kernel_width * params.dilation_y - params.padding_y;
  let offset_x = tap % params.kernel_width * params.dilation_x - params.padding_x;
  let output = group / taps / params.group_inputs;
  let input = output / params.group_outputs * params.group_inputs + group / taps % params.group_inputs;
  let outputs = params.channels / params.group_inputs * params.group_outputs;
  let windows = params.out_height * params.out_width;
  var own = 0.0;
  for (var at = lane; at < params.images * windows; at += ${lanes}u) {
    let window = at % windows;
    let batch = at / windows;
    let y = window / params.out_width * params.stride_y + offset_y;
    let x = window % params.out_width * params.stride_x + offset_x;
    // Before the image the coordinates have wrapped around.
    if (y < params.height && x < params.width) {
      own += image[((batch * params.channels + input) * params.height + y) * params.width + x] *
        gradient[(batch * outputs + output) * windows + window];
    }
  }
  let sum = window_sum(own, lane);
  if (lane == 0u) { result[group] = sum; }`,
  }),
});

const flopsOf = ({ images, inputs, outputs, groups, kernel, outSize }: ConvolutionSizes) =>
  (2 * images * outputs * outSize[0] * outSize[1] * kernel[0] * kernel[1] * inputs) / groups;

/** `convolve` without columns; contiguous f32. */
export function directConvolution(x: Tensor, weight: Tensor, sizes: ConvolutionSizes): Tensor {
  const out = x.gpu.empty([sizes.images, sizes.outputs, ...sizes.outSize]);
  x.gpu.launch(
    forwardKernel,
    {},
    {
      bindings: [x, weight, out],
      parameters: [...imageValues(out.size, sizes.inputs, sizes), ...groupValues(sizes)],
      workgroups: Math.ceil(out.size / workgroupSize),
      cost: { flops: flopsOf(sizes), bytes: 4 * (x.size + weight.size + out.size) },
    },
  );
  return out;
}

/** `convolveInputGradient` without columns; contiguous f32. */
export function directInputGradient(gradient: Tensor, weight: Tensor, sizes: ConvolutionSizes): Tensor {
  const result = gradient.gpu.empty([sizes.images, sizes.inputs, ...sizes.size]);
  gradient.gpu.launch(
    inputKernel,
    {},
    {
      bindings: [gradient, weight, result],
      parameters: [...imageValues(result.size, sizes.inputs, sizes), ...groupValues(sizes)],
      workgroups: Math.ceil(result.size / workgroupSize),
      cost: { flops: flopsOf(sizes), bytes: 4 * (gradient.size + weight.size + result.size) },
    },
  );
  return result;
}

/** `convolveWeightGradient` without columns; contiguous f32. */
export function directWeightGradient(x: Tensor, gradient: Tensor, sizes: ConvolutionSizes): Tensor {
  const { gpu } = x;
  const { images, inputs, outputs, groups, kernel, outSize } = sizes;
  const result = gpu.empty([outputs, inputs / groups, ...kernel]);
  gpu.launch(
    weightKernel,
    { lanes: lanesPerRow(images * outSize[0] * outSize[1], gpu.capabilities) },
    {
      bindings: [x, gradient, result],
      parameters: [...imageValues(result.size, inputs, sizes), ...groupValues(sizes), images],
      workgroups: result.size,
      cost: { flops: flopsOf(sizes), bytes: 4 * (x.size + gradient.size + result.size) },
    },
  );
  return result;
}
