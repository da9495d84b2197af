import { defineKernel, type KernelDefinition } from '../../kernels/kernel.ts';
import { lanesPerRow, workgroupReduction } from '../../kernels/wgsl-reduce.ts';
import type { Shape } from '../../tensor/shape.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { defineElementKernel, floatBindings, launchElements } from '../element-kernel.ts';
import { imageParameters, imagePlace, imageValues, outputPlace, overWindow, overWindowsOf } from '../windows.ts';
import type { ConvolutionSizes } from './sizes.ts';

/**
 * Convolutions with one output channel per group, such as depthwise ones: each result is added up by one owner, without columns, which would
 * cost more than they save where nothing shares them.
 */

/** {@link directValues} */
const directParameters = [...imageParameters, ['group_inputs', 'u32'], ['group_outputs', 'u32']] as const;

const directValues = (sizes: ConvolutionSizes) => [
  ...imageValues(sizes.inputs, sizes),
  sizes.inputs / sizes.groups,
  sizes.outputs / sizes.groups,
];

/** One invocation per output. */
const forwardKernel = defineElementKernel({
  name: 'convolution.direct',
  bindings: () => floatBindings(['image', 'weight'], ['out']),
  parameters: directParameters,
  main: () => `${outputPlace}
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
});

/** One invocation per element of the image. */
const inputKernel = defineElementKernel({
  name: 'convolution.directInput',
  bindings: () => floatBindings(['gradient', 'weight'], ['result']),
  parameters: directParameters,
  main: () => `${imagePlace}
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
});

/** One workgroup per element of the weight: its lanes share the windows of all images. */
const weightKernel = defineKernel<{ readonly lanes: number }>({
  name: 'convolution.directWeight',
  bindings: () => floatBindings(['image', 'gradient'], ['result']),
  parameters: [...directParameters, ['images', 'u32']],
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

/** The result of a kernel that adds up each of its elements. */
function launchDirect(
  kernel: KernelDefinition,
  shape: Shape,
  operands: readonly [Tensor, Tensor],
  sizes: ConvolutionSizes,
): Tensor {
  const [{ gpu, size }, weight] = operands;
  const result = gpu.empty(shape);
  launchElements(gpu, kernel, {}, result.size, {
    bindings: [...operands, result],
    parameters: directValues(sizes),
    cost: { flops: flopsOf(sizes), bytes: 4 * (size + weight.size + result.size) },
  });
  return result;
}

/** `convolve` without columns; contiguous f32. */
export function directConvolution(x: Tensor, weight: Tensor, sizes: ConvolutionSizes): Tensor {
  return launchDirect(forwardKernel, [sizes.images, sizes.outputs, ...sizes.outSize], [x, weight], sizes);
}

/** `convolveInputGradient` without columns; contiguous f32. */
export function directInputGradient(gradient: Tensor, weight: Tensor, sizes: ConvolutionSizes): Tensor {
  return launchDirect(inputKernel, [sizes.images, sizes.inputs, ...sizes.size], [gradient, weight], sizes);
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
      parameters: [...directValues(sizes), images],
      workgroups: result.size,
      cost: { flops: flopsOf(sizes), bytes: 4 * (x.size + gradient.size + result.size) },
    },
  );
  return result;
}
