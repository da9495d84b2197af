import { ArgumentError, ShapeError } from '../errors.ts';
import { defineKernel } from '../kernels/kernel.ts';
import { lanesPerRow, workgroupReduction } from '../kernels/wgsl-reduce.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { contiguous } from './copy.ts';

/** What sums in another order differ by, relative to them: a share that is met up to this is met. */
const tolerance = 2 ** -20;

/**
 * One workgroup per row. The largest bit pattern from which on elements still have the mass is found bit by bit, from the highest on:
 * bits of numbers that are not negative stand in their order. Of the elements that equal it only as many count as are needed.
 */
const massCountKernel = defineKernel<{ readonly lanes: number }>({
  name: 'massCount',
  bindings: () => [
    { name: 'x', type: 'array<u32>', access: 'read' },
    { name: 'counts', type: 'array<u32>', access: 'read_write' },
  ],
  parameters: [
    ['columns', 'u32'],
    ['share', 'f32'],
    ['bits', 'u32'],
  ],
  workgroupSize: ({ lanes }) => lanes,
  source: ({ lanes }, capabilities) => ({
    declarations: `${workgroupReduction('total', lanes, 'a + b', capabilities, 'vec2f')}
// Mass and number of the elements whose bits are at least these.
fn mass_from(base: u32, least: u32, lane: u32) -> vec2f {
  var own = vec2f();
  for (var column = lane; column < params.columns; column += ${lanes}u) {
    let bits = x[base + column];
    if (bits >= least) { own += vec2f(bitcast<f32>(bits), 1.0); }
  }
  return total(own, lane);
}`,
    // The bound is a parameter: unrolled, the loop compiles for seconds on software adapters.
    main: `
  let base = group * params.columns;
  var reached = mass_from(base, 0u, lane);
  let wanted = params.share * reached.x;
  var least = 0u;
  for (var bit = params.bits; bit > 0u; bit--) {
    let tried = least | (1u << (bit - 1u));
    let mass = mass_from(base, tried, lane);
    if (mass.x >= wanted) {
      least = tried;
      reached = mass;
    }
  }
  let larger = mass_from(base, least + 1u, lane);
  let equal = reached.y - larger.y;
  let needed = ceil((wanted - larger.x) / bitcast<f32>(max(least, 1u)) * ${1 - tolerance});
  if (lane == 0u) { counts[group] = max(u32(larger.y + clamp(needed, min(1.0, equal), equal)), 1u); }`,
  }),
});

/**
 * How many of the largest elements of each row it takes until they hold a share of the row's sum: the fewest, and at least one. Decided on
 * the GPU; a sum that misses the share by a millionth of it meets it.
 *
 * @param x f32 [..., n], n up to 2^24, no element negative or NaN: scores, masses.
 * @param share In (0, 1].
 * @returns u32 [...]
 * @throws ShapeError for another tensor, ArgumentError for another share, LimitError for a tensor over the binding limit.
 */
export function massCount(x: Tensor, share: number): Tensor {
  const { gpu } = x;
  const columns = x.shape.at(-1) ?? 0;
  if (x.dtype !== 'f32' || columns === 0 || columns > 2 ** 24) {
    throw new ShapeError('massCount', `x is ${x.dtype}[${x.shape}]; needs f32 [..., n] with n from 1 to 2^24.`);
  }
  if (!(share > 0 && share <= 1)) throw new ArgumentError('massCount: share', share, 'a number above 0 and up to 1');
  return gpu.tidy(() => {
    const counts = gpu.empty(x.shape.slice(0, -1), 'u32');
    gpu.launch(
      massCountKernel,
      // Eight are one vector of a software adapter: barriers cost nothing there, and more take seconds to compile.
      { lanes: gpu.capabilities.software ? 8 : lanesPerRow(columns, gpu.capabilities) },
      {
        bindings: [contiguous(x), counts],
        parameters: [columns, share * (1 - tolerance), 31],
        workgroups: x.size / columns,
        cost: { flops: 70 * x.size, bytes: 4 * x.size },
      },
    );
    return counts;
  });
}
