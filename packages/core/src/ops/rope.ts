import { ArgumentError, ShapeError } from '../errors.ts';
import { defineKernel, type Variant } from '../kernels/kernel.ts';
import { elementAccess } from '../kernels/wgsl.ts';
import type { PlainDtype } from '../tensor/dtype.ts';
import { sameShape } from '../tensor/shape.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { contiguous } from './copy.ts';
import type { RopeTable } from './rope-table.ts';
import { stridedRange } from './strided.ts';

/** Which elements of a head form a rotated pair: (i, i + R/2) as in Hugging Face's Llama, or (2i, 2i + 1). */
export type RopeLayout = 'half' | 'interleaved';

interface RopeVariant extends Variant {
  readonly dtype: PlainDtype;
  readonly layout: RopeLayout;
  /** Positions come from a tensor rather than from `start`. */
  readonly listed: boolean;
  /** Ends of the sections but the last, in pairs: `16,40`. Empty where positions have one axis. */
  readonly sectionEnds: string;
}

const workgroupSize = 64;

/** One invocation per pair of elements: [batch, token, head, D/2]. Pairs beyond the rotary size pass through. */
const ropeKernel = defineKernel<RopeVariant>({
  name: 'rope',
  bindings: ({ dtype, listed }, capabilities) => [
    { name: 'x', type: elementAccess('x', dtype, capabilities).type, access: 'read' },
    { name: 'cosines', type: 'array<f32>', access: 'read' },
    { name: 'sines', type: 'array<f32>', access: 'read' },
    ...(listed ? [{ name: 'positions', type: 'array<u32>', access: 'read' } as const] : []),
    { name: 'rotated', type: 'array<f32>', access: 'read_write' },
  ],
  parameters: [
    ['pairs', 'u32'],
    ['head_pairs', 'u32'],
    ['heads', 'u32'],
    ['tokens', 'u32'],
    ['rotary_pairs', 'u32'],
    ['start', 'u32'],
    ['last_position', 'i32'],
    ['position_batch_stride', 'u32'],
    ['position_offset', 'i32'],
    ['x_offset', 'u32'],
    ['batch_stride', 'u32'],
    ['token_stride', 'u32'],
    ['head_stride', 'u32'],
  ],
  workgroupSize: () => workgroupSize,
  source: ({ dtype, layout, listed, sectionEnds }, capabilities) => {
    const x = elementAccess('x', dtype, capabilities);
    const first = layout === 'half' ? 'pair' : '2u * pair';
    const second = layout === 'half' ? 'pair + params.rotary_pairs' : '2u * pair + 1u';
    return {
      main: `
  let index = group * ${workgroupSize}u + lane;
  if (index >= params.pairs) { return; }
  let pair = index % params.head_pairs;
  let head_index = index / params.head_pairs;
  let head = head_index % params.heads;
  let token = head_index / params.heads % params.tokens;
  let batch = head_index / params.heads / params.tokens;
  let source = params.x_offset + batch * params.batch_stride + token * params.token_stride + head * params.head_stride;
  let to = head_index * params.head_pairs * 2u;
  if (pair >= params.rotary_pairs) {
    rotated[to + 2u * pair] = ${x.load('source + 2u * pair')};
    rotated[to + 2u * pair + 1u] = ${x.load('source + 2u * pair + 1u')};
    return;
  }
  let position = ${listed ? `u32(clamp(i32(min(positions[${listedAt(sectionEnds)}], 0x3fffffffu)) + params.position_offset, 0, params.last_position))` : 'params.start + token'};
  let cosine = cosines[position * params.rotary_pairs + pair];
  let sine = sines[position * params.rotary_pairs + pair];
  let a = ${x.load(`source + ${first}`)};
  let b = ${x.load(`source + ${second}`)};
  rotated[to + ${first}] = a * cosine - b * sine;
  rotated[to + ${second}] = b * cosine + a * sine;`,
    };
  },
});

/** Where a pair's position stands in the list. */
function listedAt(sectionEnds: string): string {
  if (sectionEnds === '') return 'batch * params.position_batch_stride + token';
  const axis = sectionEnds.split(',').map((end) => `select(0u, params.tokens, pair >= ${end}u)`);
  return `${axis.join(' + ')} + token`;
}

export interface RopeOptions {
  /** Default `half`. */
  readonly layout?: RopeLayout;
  /** Position of the first token; the others follow. Default 0. */
  readonly start?: number;
  /** Positions of the tokens instead: u32 [N] or [B, N], with sections [A, N]. Those beyond the table count as its last one. */
  readonly positions?: Tensor;
  /** Added to listed positions; sums below 0 count as 0. Default 0. */
  readonly offset?: number;
  /**
   * Pairs that rotate by the first, second, ... of A positions per token, together as many as the table rotates (multimodal rotary
   * embedding of Qwen2-VL, Wang et al., 2024; axial ones). Default: all by one.
   */
  readonly sections?: readonly number[];
}

/**
 * Rotary position embedding. Elements beyond the table's rotary size pass through.
 *
 * @param x floats [N, H, D] or [B, N, H, D]; any strides but that of the last axis, which is 1
 * @returns f32 in the same shape, contiguous
 * @throws ShapeError where shapes or dtypes do not fit, ArgumentError where `start` leaves the table.
 */
export function rope(x: Tensor, table: RopeTable, options: RopeOptions = {}): Tensor {
  const { layout = 'half', positions, sections, offset = 0 } = options;
  const { gpu } = x;
  if (x.rank !== 3 && x.rank !== 4)
    throw new ShapeError('rope', `x is [${x.shape}]; it needs [N, H, D] or [B, N, H, D].`);
  const [batch, tokens, heads, size] = (x.rank === 4 ? x.shape : [1, ...x.shape]) as [number, number, number, number];
  const { dtype } = x;
  if (dtype !== 'f32' && dtype !== 'f16' && dtype !== 'bf16') {
    throw new ShapeError('rope', `x is ${dtype}; allowed: f32, f16, bf16.`);
  }
  if (size % 2 !== 0 || size < table.rotarySize) {
    throw new ShapeError(
      'rope',
      `heads have ${size} elements; the table asks for an even number of ${table.rotarySize} or more.`,
    );
  }
  if (layout !== 'half' && layout !== 'interleaved')
    throw new ArgumentError('rope: layout', layout, "'half', 'interleaved'");
  const start = options.start ?? 0;
  if (positions) {
    if (options.start !== undefined) throw new ArgumentError('rope: start', start, 'no start together with positions');
    if (positions.dtype !== 'u32') throw new ShapeError('rope', `positions are ${positions.dtype}; allowed: u32.`);
    const allowed = sections ? [[sections.length, tokens]] : [[tokens], [batch, tokens]];
    if (!allowed.some((shape) => sameShape(positions.shape, shape))) {
      const shapes = allowed.map((shape) => `[${shape.join(', ')}]`).join(' or ');
      throw new ShapeError('rope', `positions are [${positions.shape}]; allowed: ${shapes}.`);
    }
    if (!Number.isInteger(offset)) throw new ArgumentError('rope: offset', offset, 'an integer');
    checkSections(sections, table, batch);
  } else if (sections || offset !== 0) {
    throw new ArgumentError('rope: positions', 'undefined', 'a tensor, where sections or an offset are given');
  } else if (!(Number.isInteger(start) && start >= 0 && start + tokens <= table.positions)) {
    throw new ArgumentError('rope: start', start, `0 <= start <= ${table.positions - tokens} for ${tokens} tokens`);
  }
  return gpu.tidy(() => {
    const rotated = gpu.empty(x.shape);
    if (x.size === 0) return rotated;
    const dense = x.strides[x.rank - 1] === 1 || size === 1 ? x : contiguous(x);
    const { range, offset: from } = stridedRange('rope', dense);
    const strides = dense.strides as number[];
    const [batchStride, tokenStride, headStride] = (x.rank === 4 ? strides : [0, ...strides]) as [
      number,
      number,
      number,
    ];
    const list = positions && contiguous(positions);
    const pairs = x.size / 2;
    gpu.launch(
      ropeKernel,
      { dtype, layout, listed: list !== undefined, sectionEnds: sectionEnds(sections) },
      {
        bindings: [range, table.cos, table.sin, ...(list ? [list] : []), rotated],
        parameters: [
          pairs,
          size / 2,
          heads,
          tokens,
          table.rotarySize / 2,
          start,
          table.positions - 1,
          positions?.rank === 2 ? tokens : 0,
          offset,
          from,
          batchStride,
          tokenStride,
          headStride,
        ],
        workgroups: Math.ceil(pairs / workgroupSize),
        cost: { flops: 6 * pairs, bytes: gpu.bytesOf(x) + gpu.bytesOf(rotated) + 4 * tokens * table.rotarySize },
      },
    );
    return rotated;
  });
}

function checkSections(sections: readonly number[] | undefined, { rotarySize }: RopeTable, batch: number): void {
  if (!sections) return;
  const total = sections.reduce((sum, pairs) => sum + pairs, 0);
  if (
    sections.length < 1 ||
    sections.some((pairs) => !(Number.isInteger(pairs) && pairs >= 0)) ||
    total !== rotarySize / 2
  ) {
    throw new ArgumentError('rope: sections', sections, `numbers of pairs that sum to ${rotarySize / 2}`);
  }
  if (batch !== 1) throw new ShapeError('rope', `x holds ${batch} sequences; with sections it holds one.`);
}

function sectionEnds(sections: readonly number[] = []): string {
  let end = 0;
  return sections
    .slice(0, -1)
    .map((pairs) => {
      end += pairs;
      return end;
    })
    .join(',');
}
