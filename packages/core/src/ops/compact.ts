import { ShapeError } from '../errors.ts';
import { defineKernel, type Variant } from '../kernels/kernel.ts';
import { workgroupScanFunction } from '../kernels/workgroup-scan.ts';
import { sameShape } from '../tensor/shape.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { contiguous } from './copy.ts';

const lanes = 256;
const perLane = 16;
const tile = lanes * perLane;

const parameters = [
  ['n', 'u32'],
  ['tiles', 'u32'],
] as const;

const ownCount = `
  let row = group / params.tiles;
  let own_tile = group % params.tiles;
  let base = row * params.n;
  let start = min(own_tile * ${tile}u + lane * ${perLane}u, params.n);
  let end = min(start + ${perLane}u, params.n);
  var own = 0u;
  for (var at = start; at < end; at++) { own += u32(flags[base + at] != 0u); }`;

const scanFunction = workgroupScanFunction({ name: 'scan', type: 'u32', lanes });

const compactCount = defineKernel<Record<never, never>>({
  name: 'compactCount',
  bindings: () => [
    { name: 'flags', type: 'array<u32>', access: 'read' },
    { name: 'tile_counts', type: 'array<u32>', access: 'read_write' },
  ],
  parameters,
  workgroupSize: () => lanes,
  source: () => ({
    declarations: scanFunction,
    main: `${ownCount}
  _ = scan(lane, own);
  if (lane == 0u) { tile_counts[group] = scan_total; }`,
  }),
});

interface ScatterVariant extends Variant {
  /** Elements move along with their positions. */
  readonly carried: boolean;
}

const compactScatter = defineKernel<ScatterVariant>({
  name: 'compactScatter',
  bindings: ({ carried }) => [
    { name: 'flags', type: 'array<u32>', access: 'read' },
    { name: 'tile_counts', type: 'array<u32>', access: 'read' },
    { name: 'indices', type: 'array<u32>', access: 'read_write' },
    { name: 'counts', type: 'array<u32>', access: 'read_write' },
    ...(carried
      ? ([
          { name: 'x', type: 'array<u32>', access: 'read' },
          { name: 'values', type: 'array<u32>', access: 'read_write' },
        ] as const)
      : []),
  ],
  parameters,
  workgroupSize: () => lanes,
  source: ({ carried }) => ({
    declarations: `${scanFunction}
var<workgroup> flags_before: atomic<u32>;
var<workgroup> flags_in_row: atomic<u32>;`,
    main: `${ownCount}
  for (var other = lane; other < params.tiles; other += ${lanes}u) {
    let counted = tile_counts[row * params.tiles + other];
    atomicAdd(&flags_in_row, counted);
    if (other < own_tile) { atomicAdd(&flags_before, counted); }
  }
  var place = scan(lane, own) + atomicLoad(&flags_before);
  let count = atomicLoad(&flags_in_row);
  for (var at = start; at < end; at++) {
    if (flags[base + at] != 0u) {
      indices[base + place] = at;
      ${carried ? 'values[base + place] = x[base + at];' : ''}
      place++;
    }
  }
  for (var at = max(start, count); at < end; at++) {
    indices[base + at] = 0xffffffffu;
    ${carried ? 'values[base + at] = 0u;' : ''}
  }
  if (own_tile == 0u && lane == 0u) { counts[row] = count; }`,
  }),
});

/** Where the flags of each row are set. */
export interface Positions {
  /** u32, shape of the mask: ascending positions of the set flags, then 0xffffffff. */
  readonly indices: Tensor;
  /** u32, shape of the mask without its last axis: how many flags are set. */
  readonly counts: Tensor;
}

/** The kept elements of each row and where they stood. */
export interface Compacted extends Positions {
  /** Shape and dtype of the input: the kept elements in their order, then zeros. */
  readonly values: Tensor;
}

/**
 * Ascending positions of the nonzero flags of each row, with their number on the GPU.
 *
 * @param mask u32 [..., n].
 * @throws ShapeError for another dtype or a scalar; LimitError for a tensor over the binding limit.
 */
export function maskPositions(mask: Tensor): Positions {
  return mask.gpu.tidy(() => {
    const { indices, counts } = launchCompact('maskPositions', mask, undefined);
    return { indices, counts };
  });
}

/**
 * Moves the elements whose flag is nonzero to the front of their row, in their order (stream compaction).
 *
 * @param x f32, i32 or u32 [..., n]: values, or indices to narrow down.
 * @param mask u32, shape of `x`.
 * @throws ShapeError when dtypes or shapes do not fit; LimitError for a tensor over the binding limit.
 */
export function compact(x: Tensor, mask: Tensor): Compacted {
  if ((x.dtype !== 'f32' && x.dtype !== 'i32' && x.dtype !== 'u32') || !sameShape(x.shape, mask.shape)) {
    throw new ShapeError(
      'compact',
      `x ${x.dtype}[${x.shape}] with a mask [${mask.shape}]; needs f32, i32 or u32 of the mask's shape.`,
    );
  }
  return x.gpu.tidy(() => {
    const values = x.gpu.empty(x.shape, x.dtype);
    return { ...launchCompact('compact', mask, [contiguous(x), values]), values };
  });
}

function launchCompact(operation: string, mask: Tensor, carried: readonly [Tensor, Tensor] | undefined): Positions {
  const { gpu, shape } = mask;
  if (mask.rank === 0 || mask.dtype !== 'u32') {
    throw new ShapeError(operation, `mask ${mask.dtype}[${shape}]; needs u32 with at least one axis.`);
  }
  const n = shape.at(-1) as number;
  const lead = shape.slice(0, -1);
  const indices = gpu.empty(shape, 'u32');
  if (n === 0) return { indices, counts: gpu.zeros(lead, 'u32') };
  const counts = gpu.empty(lead, 'u32');
  const flags = contiguous(mask);
  const tiles = Math.ceil(n / tile);
  const workgroups = (mask.size / n) * tiles;
  const tileCounts = gpu.empty([Math.max(workgroups, 1)], 'u32');
  const sizes = { parameters: [n, tiles], workgroups };
  gpu.launch(
    compactCount,
    {},
    {
      bindings: [flags, tileCounts],
      ...sizes,
      cost: { flops: mask.size, bytes: 4 * mask.size },
    },
  );
  gpu.launch(
    compactScatter,
    { carried: carried !== undefined },
    {
      bindings: [flags, tileCounts, indices, counts, ...(carried ?? [])],
      ...sizes,
      cost: { flops: 2 * mask.size, bytes: (carried ? 16 : 8) * mask.size },
    },
  );
  return { indices, counts };
}
