import { ArgumentError, ShapeError } from '../errors.ts';
import { defineKernel } from '../kernels/kernel.ts';
import { LOWEST } from '../kernels/wgsl.ts';
import { Tensor } from '../tensor/tensor.ts';
import type { KeySetPartials } from './attention-by-key-set.ts';
import { CallParts, numberParameters } from './call-parts.ts';
import { mostKeySets } from './key-sets.ts';
import { bindSideInputs, type SideInputVariant, sideBindings, sideFunctions, sideParameters } from './side-inputs.ts';
import { stridedInput } from './strided-input.ts';

/** What a custom weight may use, as WGSL. */
export interface SetWeightNames {
  /** The set whose weight it is, from 0. */
  readonly set: number;
  /** f32: probability mass of a set in the row; all sum to 1, or are 0 in a row that sees nothing. */
  readonly mass: (set: number) => string;
  /** u32 */
  readonly batch: string;
  readonly head: string;
  readonly query: string;
  /** A number given as `numbers`: f32. */
  readonly number: (name: string) => string;
  /** Element `index` (WGSL of type u32) of a tensor given as `inputs`: f32 or u32, as its dtype. */
  readonly input: (name: string, index: string) => string;
}

export interface CombineKeySetsOptions {
  /**
   * Weight of each set's output. A tensor f32 that broadcasts to [S, B, H, N]; or a WGSL expression of the masses, which is
   * asked for each set once. Default: the masses, which gives attention over the union.
   */
  readonly weights?: Tensor | ((names: SetWeightNames) => string);
  /** Divides by the sum of the weights (where that is positive). Default false. */
  readonly renormalise?: boolean;
  readonly numbers?: Readonly<Record<string, number>>;
  readonly inputs?: Readonly<Record<string, Tensor>>;
}

/** What {@link combineKeySets} returns. */
export interface CombinedKeySets {
  /** f32 [B, H, N, D]: sum over the sets of weight times output. */
  readonly output: Tensor;
  /** f32 [S, B, H, N]: probability mass of each set. */
  readonly masses: Tensor;
  /** f32 [B, H, N], of the union of the sets. */
  readonly logSumExp: Tensor;
}

interface CombineVariant extends SideInputVariant {
  readonly sets: number;
  /** Expressions of the weights, one per line. */
  readonly weights: string;
  readonly renormalise: boolean;
  readonly numbers: string;
  readonly [field: string]: string | number | boolean;
}

const lanes = 64;

/** One invocation per element of the output; the first of each row also writes the row's masses and log-sum-exp. */
const combineKernel = defineKernel<CombineVariant>({
  name: 'attention.combineKeySets',
  bindings: (variant) => [
    { name: 'outputs', type: 'array<f32>', access: 'read' },
    { name: 'log_sum_exps', type: 'array<f32>', access: 'read' },
    ...sideBindings(variant),
    { name: 'result', type: 'array<f32>', access: 'read_write' },
  ],
  parameters: (variant) => [
    ['size', 'u32'],
    ['heads', 'u32'],
    ['queries', 'u32'],
    ['head_size', 'u32'],
    ['start', 'u32'],
    ['set_stride', 'u32'],
    ['batch_stride', 'u32'],
    ['head_stride', 'u32'],
    ['query_stride', 'u32'],
    ['lse_start', 'u32'],
    ['lse_set', 'u32'],
    ['lse_batch', 'u32'],
    ['lse_head', 'u32'],
    ['lse_query', 'u32'],
    ['masses_start', 'u32'],
    ['log_sum_exp_start', 'u32'],
    ...sideParameters(variant),
    ...numberParameters(variant.numbers),
  ],
  workgroupSize: () => lanes,
  source: (variant) => {
    const { sets } = variant;
    const weights = variant.weights.split('\n');
    const main = `
  let index = group * ${lanes}u + lane;
  if (index >= params.size) { return; }
  let d = index % params.head_size;
  let row = index / params.head_size; // (batch, query, head)
  let head = row % params.heads;
  let query = (row / params.heads) % params.queries;
  let batch = row / (params.heads * params.queries);
  let lse_at = params.lse_start + batch * params.lse_batch + head * params.lse_head + query * params.lse_query;
  var masses: array<f32, ${sets}>;
  var maximum = ${LOWEST};
  for (var part = 0u; part < ${sets}u; part++) { maximum = max(maximum, log_sum_exps[lse_at + part * params.lse_set]); }
  let seen = maximum > 0.5 * ${LOWEST};
  var sum = 0.0;
  for (var part = 0u; part < ${sets}u; part++) {
    masses[part] = exp(log_sum_exps[lse_at + part * params.lse_set] - maximum);
    sum += masses[part];
  }
  for (var part = 0u; part < ${sets}u; part++) { masses[part] = select(0.0, masses[part] / sum, seen); }
  var weights: array<f32, ${sets}>;
  ${weights.map((weight, set) => `weights[${set}] = ${weight};`).join('\n  ')}
  let at = params.start + batch * params.batch_stride + head * params.head_stride + query * params.query_stride + d;
  var total = 0.0;
  var whole = 0.0;
  for (var part = 0u; part < ${sets}u; part++) {
    total += weights[part] * outputs[at + part * params.set_stride];
    whole += weights[part];
  }
  result[index] = ${variant.renormalise ? 'select(0.0, total / whole, whole > 0.0)' : 'total'};
  if (d == 0u) {
    let rows = params.size / params.head_size;
    let statistic = (batch * params.heads + head) * params.queries + query;
    for (var part = 0u; part < ${sets}u; part++) { result[params.masses_start + part * rows + statistic] = masses[part]; }
    result[params.log_sum_exp_start + statistic] = select(${LOWEST}, maximum + log(sum), seen);
  }`;
    return { declarations: sideFunctions(variant, main), main };
  },
});

// 64 f32 are 256 bytes, the largest alignment that WebGPU lets a device ask for.
const align = (elements: number): number => Math.ceil(elements / 64) * 64;

/**
 * Mixes attention over key sets with weights per (head, row, set) that the GPU computes from the sets' masses: what a set
 * of keys may say is decided without reading anything back.
 *
 * ```ts
 * // Halve the attention that sinks (set 0) get; what is left goes to the other sets in proportion.
 * combineKeySets(partials, { renormalise: true, weights: ({ set, mass }) => `${set === 0 ? 0.5 : 1} * ${mass(set)}` });
 * ```
 *
 * @throws ShapeError, ArgumentError
 */
export function combineKeySets(partials: KeySetPartials, options: CombineKeySetsOptions = {}): CombinedKeySets {
  const { outputs, logSumExps } = partials;
  const { gpu } = outputs;
  checkPartials(partials);
  const [sets, batches, heads, queries, headSize] = outputs.shape as [number, number, number, number, number];
  return gpu.tidy(() => {
    const parts = new CallParts();
    const weights = weightText(sets, options, partials, parts);
    const [from, lse] = [
      stridedInput(gpu, 'combineKeySets', 'outputs', outputs),
      stridedInput(gpu, 'combineKeySets', 'logSumExps', logSumExps),
    ];
    const rows = batches * heads * queries;
    const massesStart = align(rows * headSize);
    const logSumExpStart = massesStart + align(sets * rows);
    const result = gpu.empty([logSumExpStart + rows]);
    const side = bindSideInputs(gpu, parts.sides, gpu.capabilities.maxStorageBuffers - 3);
    gpu.launch(
      combineKernel,
      {
        sets,
        weights,
        renormalise: options.renormalise ?? false,
        numbers: parts.numbers,
        inputs: side.inputs,
        packed: side.packed,
      },
      {
        bindings: [from.range, lse.range, ...side.bindings, result],
        parameters: [
          rows * headSize,
          heads,
          queries,
          headSize,
          from.start,
          ...from.strides.slice(0, 4),
          lse.start,
          ...lse.strides,
          massesStart,
          logSumExpStart,
          ...side.parameters,
          ...parts.values,
        ],
        workgroups: Math.ceil((rows * headSize) / lanes),
        cost: { flops: 2 * sets * rows * headSize, bytes: 4 * (sets + 1) * rows * headSize },
      },
    );
    const region = (start: number, size: number) => result.slice(0, start, start + size);
    return {
      output: region(0, rows * headSize)
        .reshape([batches, queries, heads, headSize])
        .transpose(0, 2, 1, 3),
      masses: region(massesStart, sets * rows).reshape([sets, batches, heads, queries]),
      logSumExp: region(logSumExpStart, rows).reshape([batches, heads, queries]),
    };
  });
}

function checkPartials({ outputs, logSumExps }: KeySetPartials): void {
  const fits =
    outputs.rank === 5 && logSumExps.rank === 4 && logSumExps.shape.every((size, axis) => size === outputs.shape[axis]);
  if (!fits || outputs.dtype !== 'f32' || logSumExps.dtype !== 'f32') {
    throw new ShapeError(
      'combineKeySets',
      `outputs ${outputs.dtype}[${outputs.shape}] and logSumExps ${logSumExps.dtype}[${logSumExps.shape}] are not f32 [S, B, H, N, D] and [S, B, H, N].`,
    );
  }
  if ((outputs.shape[0] as number) > mostKeySets) {
    throw new ArgumentError('combineKeySets: sets', outputs.shape[0], `at most ${mostKeySets}`);
  }
}

/** Weights of all sets, one per line. */
function weightText(
  sets: number,
  { weights, numbers = {}, inputs = {} }: CombineKeySetsOptions,
  { logSumExps }: KeySetPartials,
  parts: CallParts,
): string {
  const range = Array.from({ length: sets }, (_, set) => set);
  const mass = (set: number) => `masses[${set}]`;
  if (weights === undefined) return range.map(mass).join('\n');
  if (weights instanceof Tensor) {
    if (weights.dtype !== 'f32') throw new ArgumentError('combineKeySets: weights', weights.dtype, 'f32');
    const view = weights.broadcastTo(logSumExps.shape);
    // One element of the last axis says where it starts; the strides lead to the others, also where they repeat.
    const { range: bound, start } = stridedInput(view.gpu, 'combineKeySets', 'weights', view.slice(3, 0, 1));
    const load = parts.input('weights', view, bound);
    const step = view.strides.map((stride, axis) => parts.number(`weights_stride${axis}`, 'u32', stride));
    const origin = parts.number('weights_origin', 'u32', start);
    return range
      .map(
        (set) =>
          `${load}(${origin} + ${set}u * ${step[0]} + batch * ${step[1]} + head * ${step[2]} + query * ${step[3]})`,
      )
      .join('\n');
  }
  const given = new Map(
    Object.entries(numbers).map(([name, value]) => [name, parts.number(`given_${name}`, 'f32', value)]),
  );
  const loads = new Map(Object.entries(inputs).map(([name, tensor]) => [name, parts.input(`given_${name}`, tensor)]));
  const find = (map: Map<string, string>, name: string) => {
    const found = map.get(name);
    if (found === undefined)
      throw new ArgumentError('combineKeySets: name', name, [...map.keys()].join(', ') || 'none');
    return found;
  };
  return range
    .map((set) =>
      weights({
        set,
        mass,
        batch: 'batch',
        head: 'head',
        query: 'query',
        number: (name) => find(given, name),
        input: (name, index) => `${find(loads, name)}(${index})`,
      }).replaceAll('\n', ' '),
    )
    .join('\n');
}
