import { type AttentionDtype, inputAccess } from '../attention/elements.ts';
import { stridedInput } from '../attention/strided-input.ts';
import { ArgumentError, ShapeError } from '../errors.ts';
import { defineKernel } from '../kernels/kernel.ts';
import type { Tensor } from '../tensor/tensor.ts';
import type { CacheDtype } from './types.ts';

interface WriteVariant {
  readonly source: AttentionDtype;
  readonly target: CacheDtype;
  readonly [field: string]: string;
}

const workgroupSize = 64;

/** Copies strided rows of k and v into a cache layer. An invocation writes two elements: one word where they are f16. */
const writeRowsKernel = defineKernel<WriteVariant>({
  name: 'cache-write',
  bindings: ({ source, target }, capabilities) => {
    const read = inputAccess('k', source, false, capabilities).type;
    const write = target === 'f16' ? 'array<u32>' : 'array<f32>';
    return [
      { name: 'k', type: read, access: 'read' },
      { name: 'v', type: read, access: 'read' },
      { name: 'keys', type: write, access: 'read_write' },
      { name: 'values', type: write, access: 'read_write' },
    ];
  },
  parameters: [
    ['size', 'u32'],
    ['pairs', 'u32'],
    ['head_size', 'u32'],
    ['rows', 'u32'],
    ['kv_heads', 'u32'],
    ['capacity', 'u32'],
    ['position', 'u32'],
    ['k_start', 'u32'],
    ['k_batch', 'u32'],
    ['k_head', 'u32'],
    ['k_row', 'u32'],
    ['v_start', 'u32'],
    ['v_batch', 'u32'],
    ['v_head', 'u32'],
    ['v_row', 'u32'],
  ],
  workgroupSize: () => workgroupSize,
  source: ({ source, target }, capabilities) => {
    const write = (from: 'k' | 'v', to: 'keys' | 'values') => {
      const { load } = inputAccess(from, source, false, capabilities);
      const at = `${from}_at`;
      const place = `let ${at} = params.${from}_start + batch * params.${from}_batch + head * params.${from}_head + row * params.${from}_row + d;`;
      return target === 'f16'
        ? `${place}\n  ${to}[target_row * params.pairs + pair] = pack2x16float(vec2f(${load(at)}, ${load(`${at} + 1u`)}));`
        : `${place}
  ${to}[target_row * params.head_size + d] = ${load(at)};
  if (d + 1u < params.head_size) { ${to}[target_row * params.head_size + d + 1u] = ${load(`${at} + 1u`)}; }`;
    };
    return {
      main: `
  let index = group * ${workgroupSize}u + lane;
  if (index >= params.size) { return; }
  let pair = index % params.pairs;
  let row = (index / params.pairs) % params.rows;
  let head = (index / (params.pairs * params.rows)) % params.kv_heads;
  let batch = index / (params.pairs * params.rows * params.kv_heads);
  let d = 2u * pair;
  let target_row = (batch * params.kv_heads + head) * params.capacity + params.position + row;
  ${write('k', 'keys')}
  ${write('v', 'values')}`,
    };
  },
});

/** Writes k and v [B, Hkv, N, D] into keys and values [B, Hkv, capacity, D] from row `position` on. One dispatch. */
export function writeRows(keys: Tensor, values: Tensor, position: number, k: Tensor, v: Tensor): void {
  const { gpu } = keys;
  const [batch, kvHeads, capacity, headSize] = keys.shape as [number, number, number, number];
  const rows = checkRows(keys, k, v);
  const sources = [stridedInput(gpu, 'cache', 'k', k), stridedInput(gpu, 'cache', 'v', v)] as const;
  const pairs = Math.ceil(headSize / 2);
  const size = batch * kvHeads * rows * pairs;
  gpu.launch(
    writeRowsKernel,
    { source: k.dtype as AttentionDtype, target: keys.dtype as CacheDtype },
    {
      bindings: [sources[0].range, sources[1].range, keys, values],
      parameters: [
        size,
        pairs,
        headSize,
        rows,
        kvHeads,
        capacity,
        position,
        ...sources.flatMap(({ start, strides }) => [start, ...strides.slice(0, 3)]),
      ],
      workgroups: Math.ceil(size / workgroupSize),
      cost: { flops: 0, bytes: 2 * (gpu.bytesOf(k) + (gpu.bytesOf(keys) / capacity) * rows) },
    },
  );
}

/** Checks k and v against a layer; returns how many rows they hold. */
export function checkRows(keys: Tensor, k: Tensor, v: Tensor): number {
  const [batch, kvHeads, , headSize] = keys.shape as [number, number, number, number];
  const rows = k.shape[2] ?? 0;
  const expected = [batch, kvHeads, rows, headSize];
  for (const [name, tensor] of [
    ['k', k],
    ['v', v],
  ] as const) {
    if (tensor.rank !== 4 || tensor.shape.some((extent, axis) => extent !== expected[axis])) {
      throw new ShapeError(
        'cache',
        `${name} is [${tensor.shape}]; the cache takes [${batch}, ${kvHeads}, N, ${headSize}].`,
      );
    }
  }
  if (k.dtype !== v.dtype || (k.dtype !== 'f32' && k.dtype !== 'f16')) {
    throw new ArgumentError('cache: dtypes of k and v', `${k.dtype} and ${v.dtype}`, 'both f32 or both f16');
  }
  return rows;
}
