import { defineKernel } from '../../kernels/kernel.ts';
import { workgroupReduction } from '../../kernels/wgsl-reduce.ts';
import { contiguous } from '../../ops/copy.ts';
import type { Tensor } from '../../tensor/tensor.ts';

const lanes = 64;
/** Elements that a workgroup adds up. */
const chunk = 4096;
/** Tensors of a launch: with the sums they fill the eight storage buffers that every device has. */
const mostTensors = 7;

const places = (tensors: number) => Array.from({ length: tensors }, (_, at) => at);

/** A sum of squares per workgroup, over a chunk of one of several tensors. */
const sumOfSquaresKernel = defineKernel<{ readonly tensors: number }>({
  name: 'sumOfSquares',
  bindings: ({ tensors }) => [
    ...places(tensors).map((at) => ({ name: `x${at}`, type: 'array<f32>', access: 'read' }) as const),
    { name: 'sums', type: 'array<f32>', access: 'read_write' },
  ],
  parameters: ({ tensors }) => [
    ['first_sum', 'u32'],
    ...places(tensors).flatMap((at) => [[`size${at}`, 'u32'] as const, [`end${at}`, 'u32'] as const]),
  ],
  workgroupSize: () => lanes,
  source: ({ tensors }, capabilities) => ({
    declarations: workgroupReduction('join', lanes, 'a + b', capabilities),
    main: `
  var value = 0.0;
  ${places(tensors)
    .map(
      (at) => `${at > 0 ? 'else ' : ''}if (group < params.end${at}) {
    let first = (group${at > 0 ? ` - params.end${at - 1}` : ''}) * ${chunk}u;
    for (var i = first + lane; i < min(first + ${chunk}u, params.size${at}); i += ${lanes}u) { value += x${at}[i] * x${at}[i]; }
  }`,
    )
    .join(' ')}
  let all = join(value, lane);
  if (lane == 0u) { sums[params.first_sum + group] = all; }`,
  }),
});

/**
 * Sums of squares over parts of the tensors; their sum is the square of the global norm. One launch per seven tensors, and the
 * same parts each time.
 *
 * @param tensors f32, at least one
 * @returns f32 [parts]
 */
export function partialSquares(tensors: readonly Tensor[]): Tensor {
  const { gpu } = tensors[0] as Tensor;
  const chunks = tensors.map(({ size }) => Math.ceil(size / chunk));
  return gpu.tidy(() => {
    const sums = gpu.empty([chunks.reduce((total, count) => total + count, 0)]);
    let firstSum = 0;
    for (let start = 0; start < tensors.length; start += mostTensors) {
      const some = tensors.slice(start, start + mostTensors);
      let end = 0;
      const sizes = some.flatMap(({ size }, at) => {
        end += chunks[start + at] as number;
        return [size, end];
      });
      const total = some.reduce((elements, { size }) => elements + size, 0);
      gpu.launch(
        sumOfSquaresKernel,
        { tensors: some.length },
        {
          bindings: [...some.map(contiguous), sums],
          parameters: [firstSum, ...sizes],
          workgroups: end,
          cost: { flops: 2 * total, bytes: 4 * total },
        },
      );
      firstSum += end;
    }
    return sums;
  });
}
