import { defineKernel } from '../../kernels/kernel.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { wholeBuffer } from './operands.ts';
import { repeat } from './product.ts';

const lanes = 8;
/** Inner positions of one store. */
const width = 4;
/** Stores of one invocation. */
const storesPerLane = 8;

/** Lanes over columns: each gathers four inner positions of its column and stores them side by side. */
const packKernel = defineKernel<Record<never, never>>({
  name: 'matmul.pack',
  bindings: () => [
    { name: 'source', type: 'array<f32>', access: 'read' },
    { name: 'out', type: 'array<vec4f>', access: 'read_write' },
  ],
  parameters: [
    ['inner', 'u32'],
    ['columns', 'u32'],
    ['offset', 'u32'],
    ['inner_stride', 'u32'],
    ['column_stride', 'u32'],
  ],
  workgroupSize: () => lanes,
  source: () => ({
    main: `
  let column_tiles = (params.columns + ${lanes - 1}u) / ${lanes}u;
  let column = group % column_tiles * ${lanes}u + lane;
  let start = group / column_tiles * ${width * storesPerLane}u;
  if (column >= params.columns) { return; }
  let base = params.offset + column * params.column_stride;
  for (var k = start; k < min(start + ${width * storesPerLane}u, params.inner); k += ${width}u) {
    out[(column * params.inner + k) / ${width}u] = vec4f(${repeat(width, (element) => `source[base + (k + ${element}u) * params.inner_stride]${element < width - 1 ? ',' : ''}`)});
  }`,
  }),
});

/**
 * A right operand [K, N] with its inner axis dense in memory, so that one load gives four elements.
 *
 * @param b f32 [K, N] in one binding, any strides; K a multiple of 4
 * @returns the same numbers as a view with the strides [1, K]
 */
export function pack(b: Tensor): Tensor {
  const { gpu } = b;
  const [inner, columns] = b.shape as [number, number];
  const [innerStride, columnStride] = b.strides as [number, number];
  return gpu.tidy(() => {
    const out = gpu.empty([columns, inner]);
    gpu.launch(
      packKernel,
      {},
      {
        bindings: [wholeBuffer(b, 'matmul'), gpu.range(out, 'matmul: packed operand')],
        parameters: [inner, columns, b.offset, innerStride, columnStride],
        workgroups: Math.ceil(columns / lanes) * Math.ceil(inner / (width * storesPerLane)),
        cost: { flops: 0, bytes: 8 * inner * columns },
      },
    );
    return out.transpose();
  });
}
