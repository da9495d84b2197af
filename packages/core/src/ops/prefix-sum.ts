import { ShapeError } from '../errors.ts';
import { defineKernel, type Variant } from '../kernels/kernel.ts';
import { workgroupScanFunction } from '../kernels/workgroup-scan.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { contiguous } from './copy.ts';

const lanes = 256;
const perLane = 16;
const tile = lanes * perLane;

type SummedDtype = 'f32' | 'i32' | 'u32';

interface SumVariant extends Variant {
  readonly dtype: SummedDtype;
  /** Rows are walked from their end. */
  readonly reverse: boolean;
}

interface ScanVariant extends SumVariant {
  readonly exclusive: boolean;
  /** Rows have several tiles, whose sums come from a binding. */
  readonly tiled: boolean;
}

const parameters = [
  ['n', 'u32'],
  ['tiles', 'u32'],
] as const;

/** Where the element at step `at` of a row stands. */
const element = (reverse: boolean) => (reverse ? 'base + params.n - 1u - at' : 'base + at');

/** An invocation's stretch of 16 elements: its bounds in the row and its sum. */
const ownSum = ({ dtype, reverse }: SumVariant) => `
  let row = group / params.tiles;
  let own_tile = group % params.tiles;
  let base = row * params.n;
  let start = min(own_tile * ${tile}u + lane * ${perLane}u, params.n);
  let end = min(start + ${perLane}u, params.n);
  var own = ${dtype}();
  for (var at = start; at < end; at++) { own += x[${element(reverse)}]; }`;

const scanFunction = (dtype: SummedDtype) => workgroupScanFunction({ name: 'scan', type: dtype, lanes });

const prefixSumTiles = defineKernel<SumVariant>({
  name: 'prefixSumTiles',
  bindings: ({ dtype }) => [
    { name: 'x', type: `array<${dtype}>`, access: 'read' },
    { name: 'tile_sums', type: `array<${dtype}>`, access: 'read_write' },
  ],
  parameters,
  workgroupSize: () => lanes,
  source: (variant) => ({
    declarations: scanFunction(variant.dtype),
    main: `${ownSum(variant)}
  _ = scan(lane, own);
  if (lane == 0u) { tile_sums[group] = scan_total; }`,
  }),
});

const prefixSumScan = defineKernel<ScanVariant>({
  name: 'prefixSumScan',
  bindings: ({ dtype, tiled }) => [
    { name: 'x', type: `array<${dtype}>`, access: 'read' },
    ...(tiled ? [{ name: 'tile_sums', type: `array<${dtype}>`, access: 'read' } as const] : []),
    { name: 'sums', type: `array<${dtype}>`, access: 'read_write' },
  ],
  parameters,
  workgroupSize: () => lanes,
  source: (variant) => ({
    declarations: scanFunction(variant.dtype),
    main: `${ownSum(variant)}
  var before = ${variant.dtype}();
  ${
    variant.tiled
      ? `for (var other = lane; other < own_tile; other += ${lanes}u) { before += tile_sums[row * params.tiles + other]; }
  _ = scan(lane, before);
  before = workgroupUniformLoad(&scan_total);`
      : ''
  }
  before += scan(lane, own);
  for (var at = start; at < end; at++) {
    let place = ${element(variant.reverse)};
    ${variant.exclusive ? 'sums[place] = before;' : ''}
    before += x[place];
    ${variant.exclusive ? '' : 'sums[place] = before;'}
  }`,
  }),
});

export interface PrefixSumOptions {
  /** Element i is the sum of the elements before i rather than up to i. Default false. */
  readonly exclusive?: boolean;
  /** From the end of each row: element i is the sum of those from i on (exclusive: after i). Default false. */
  readonly reverse?: boolean;
}

/**
 * Running sums along the last axis: one dispatch for rows up to 4096 elements, else two (sums of tiles, then the scan, in which
 * each workgroup adds up the tiles before its own). The order of summation is fixed: results reproduce bit by bit.
 *
 * @param x f32 (summed in f32), i32 or u32 (modulo 2^32) [..., n].
 * @returns The shape and dtype of `x`.
 * @throws ShapeError for a scalar or another dtype; LimitError for a tensor over the binding limit.
 */
export function prefixSum(x: Tensor, options: PrefixSumOptions = {}): Tensor {
  const { gpu, dtype, shape } = x;
  if (x.rank === 0 || (dtype !== 'f32' && dtype !== 'i32' && dtype !== 'u32')) {
    throw new ShapeError('prefixSum', `got ${dtype}[${shape}]; needs f32, i32 or u32 with at least one axis.`);
  }
  const { exclusive = false, reverse = false } = options;
  const n = shape.at(-1) as number;
  if (x.size === 0) return gpu.empty(shape, dtype);
  return gpu.tidy(() => {
    const source = contiguous(x);
    const sums = gpu.empty(shape, dtype);
    const rows = x.size / n;
    const tiles = Math.ceil(n / tile);
    const workgroups = rows * tiles;
    const tileSums = tiles > 1 ? [gpu.empty([rows, tiles], dtype)] : [];
    for (const target of tileSums) {
      gpu.launch(
        prefixSumTiles,
        { dtype, reverse },
        {
          bindings: [source, target],
          parameters: [n, tiles],
          workgroups,
          cost: { flops: x.size, bytes: 4 * x.size },
        },
      );
    }
    gpu.launch(
      prefixSumScan,
      { dtype, reverse, exclusive, tiled: tiles > 1 },
      {
        bindings: [source, ...tileSums, sums],
        parameters: [n, tiles],
        workgroups,
        cost: { flops: 2 * x.size, bytes: 8 * x.size },
      },
    );
    return sums;
  });
}
