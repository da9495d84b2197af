import type { LaunchBinding } from '../device/launcher.ts';
import { ArgumentError, ShapeError } from '../errors.ts';
import { defineKernel } from '../kernels/kernel.ts';
import { Tensor } from '../tensor/tensor.ts';
import { placeParameters } from './call-parameters.ts';
import { CallParts, numberParameters } from './call-parts.ts';
import { type AttentionShape, checkDeviceNumbers } from './check-inputs.ts';
import { type AttentionDtype, inputAccess } from './elements.ts';
import { callBounds, columnsOf } from './plan-call.ts';
import { lengths, type PositionVariant, storageBase } from './positions.ts';
import type { ResultBuffer } from './result.ts';
import { bindSideInputs, sideBindings, sideFunctions, sideLoad, sideParameters } from './side-inputs.ts';
import { placeOf, stridedInput } from './strided-input.ts';
import type { AttentionOptions } from './types.ts';
import { whereToLook } from './where-to-look.ts';

/** Rows whose probabilities come from outside: their output is the sum of probability times value. */
export interface GivenProbabilities {
  /** u32 [R, 3]: batch entry, query head and query of each row; distinct. */
  readonly rows: Tensor;
  /** f32 [R, M], by stored row; those past the valid keys are not read. They need not sum to 1. */
  readonly probabilities: Tensor;
  /** u32 [1]: how many of the R rows count. Default all. */
  readonly count?: Tensor;
}

interface GivenVariant extends PositionVariant {
  readonly dtype: AttentionDtype;
  readonly numbers: string;
  readonly [field: string]: string | number | boolean;
}

const lanes = 64;

/** One workgroup per row; its invocations stand along the head dimension. Invariant: rows are distinct. */
const givenKernel = defineKernel<GivenVariant>({
  name: 'attention.givenProbabilities',
  bindings: (variant, capabilities) => [
    { name: 'values', type: inputAccess('values', variant.dtype, false, capabilities).type, access: 'read' },
    ...sideBindings(variant),
    { name: 'output', type: 'array<f32>', access: 'read_write' },
  ],
  parameters: (variant) => [
    ['heads', 'u32'],
    ['heads_per_kv', 'u32'],
    ['queries', 'u32'],
    ['query_bound', 'u32'],
    ['keys', 'u32'],
    ['columns', 'u32'],
    ['batches', 'u32'],
    ['head_size', 'u32'],
    ['query_offset', 'i32'],
    ['query_offset_given', 'u32'],
    ...placeParameters('value'),
    ...sideParameters(variant),
    ...numberParameters(variant.numbers),
  ],
  workgroupSize: () => lanes,
  source: (variant, capabilities) => {
    const value = inputAccess('values', variant.dtype, false, capabilities);
    const row = (field: number) => sideLoad(variant, 'rows', `3u * group + ${field}u`);
    const main = `
  ${variant.counted ? `if (group >= ${sideLoad(variant, 'count', '0u')}) { return; }` : ''}
  let batch = min(${row(0)}, params.batches - 1u);
  let head = min(${row(1)}, params.heads - 1u);
  let query = min(${row(2)}, params.queries - 1u);
  let kv_head = head / params.heads_per_kv;
  ${lengths(variant)}${storageBase(variant, 'value')}
  for (var d = lane; d < params.head_size; d += ${lanes}u) {
    var total = 0.0;
    for (var key = 0u; key < key_length; key++) {
      let probability = ${sideLoad(variant, 'probabilities', 'group * params.columns + key', 'f32')};
      total += probability * ${value.load('value_base + key * params.value_row + d')};
    }
    output[((batch * params.queries + query) * params.heads + head) * params.head_size + d] = total;
  }`;
    return { declarations: sideFunctions(variant, main), main };
  },
});

/** @throws ShapeError, ArgumentError */
export function checkGivenProbabilities(
  { rows, probabilities, count }: GivenProbabilities,
  shape: AttentionShape,
  options: AttentionOptions,
): void {
  const length = rows.shape[0] ?? 0;
  checkDeviceNumbers('attention: givenProbabilities.rows', rows, [length, 3]);
  if (probabilities.dtype !== 'f32') {
    throw new ArgumentError('dtype of attention: givenProbabilities.probabilities', probabilities.dtype, 'f32');
  }
  const columns = columnsOf(shape, options);
  if (probabilities.rank !== 2 || probabilities.shape[0] !== length || probabilities.shape[1] !== columns) {
    throw new ShapeError(
      'attention',
      `givenProbabilities.probabilities is [${probabilities.shape}]; it takes [${[length, columns]}].`,
    );
  }
  if (count) checkDeviceNumbers('attention: givenProbabilities.count', count, [1]);
}

/** Overwrites the output of the given rows. */
export function giveProbabilities(
  v: Tensor,
  { rows, probabilities, count }: GivenProbabilities,
  shape: AttentionShape,
  options: AttentionOptions,
  result: ResultBuffer,
): void {
  const { gpu } = v;
  const { batches, heads, kvHeads, queries, headSize } = shape;
  const { keyBound, queryBound } = callBounds(shape, options);
  const { keyLength, keyStarts } = options;
  const parts = new CallParts();
  const stored = { ...(keyLength === undefined ? {} : { keyLength }), ...(keyStarts ? { keyStarts } : {}) };
  const where = whereToLook(shape, stored, { range: true }, parts);
  for (const [name, tensor] of Object.entries({ rows, probabilities, count })) {
    if (tensor instanceof Tensor) parts.input(name, tensor);
  }
  const value = stridedInput(gpu, 'attention', 'v', v);
  const side = bindSideInputs(gpu, parts.sides, gpu.capabilities.maxStorageBuffers - 2);
  const bindings: LaunchBinding[] = [value.range, ...side.bindings, result.buffer];
  const [length, columns] = probabilities.shape as [number, number];
  gpu.launch(
    givenKernel,
    {
      ...where,
      dtype: v.dtype as AttentionDtype,
      counted: count !== undefined,
      numbers: parts.numbers,
      inputs: side.inputs,
      packed: side.packed,
    },
    {
      bindings,
      parameters: [
        heads,
        heads / kvHeads,
        queries,
        queryBound,
        keyBound,
        columns,
        batches,
        headSize,
        0,
        1,
        ...placeOf(value),
        ...side.parameters,
        ...parts.values,
      ],
      workgroups: length,
      cost: { flops: 2 * length * columns * headSize, bytes: 4 * length * columns * (headSize + 1) },
    },
  );
}
