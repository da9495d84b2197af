import { ArgumentError, ShapeError } from '../../errors.ts';
import { Tensor } from '../../tensor/tensor.ts';
import { type AttentionShape, checkInteger, checkWhereToLook } from '../check-inputs.ts';
import type { KeyRows } from '../paged/paged-rows.ts';
import { columnsOf } from '../plan-call.ts';
import { checkSources } from './second-pass.ts';
import type {
  AttentionStatisticsOptions,
  HeadReduction,
  KeyMassRequest,
  ProbabilityRowsRequest,
  StatisticsRequest,
} from './types.ts';

const operation = 'attentionStatistics';

/** Most key sets whose masses one pass sums. */
const mostSets = 8;

const names: readonly (keyof StatisticsRequest)[] = [
  'keyMass',
  'keySetMass',
  'expectation',
  'entropy',
  'blockMean',
  'probabilityRows',
];

/** Checks everything that `attentionStatistics` takes. */
export function checkStatistics(
  q: Tensor,
  k: KeyRows,
  options: AttentionStatisticsOptions<StatisticsRequest>,
): AttentionShape {
  const looked = checkWhereToLook(operation, q, k, options);
  const { tokens } = checkSources(operation, looked, options);
  const shape = { ...looked, keys: columnsOf(looked, options) };
  checkLogSumExp(operation, options.logSumExp, shape);
  const want: StatisticsRequest = options.want;
  const unknown = Object.keys(want).find((name) => !(names as readonly string[]).includes(name));
  if (unknown !== undefined) throw new ArgumentError(`${operation}: want`, unknown, names.join(', '));
  if (want.keyMass) checkKeyMass(want.keyMass, shape);
  if (want.keySetMass) {
    checkInteger(`${operation}: want.keySetMass.count`, want.keySetMass.count, 1, mostSets);
    checkKeyNumbers('want.keySetMass.sets', want.keySetMass.sets, 'u32', shape);
  }
  if (want.expectation) checkKeyNumbers('want.expectation.keyWeights', want.expectation.keyWeights, 'f32', shape);
  if (want.blockMean) {
    checkInteger(`${operation}: want.blockMean.queryBlock`, want.blockMean.queryBlock, 1, 2 ** 24);
    checkInteger(`${operation}: want.blockMean.keyBlock`, want.blockMean.keyBlock, 1, 2 ** 24);
    if (tokens) {
      throw new ArgumentError(`${operation}: want.blockMean`, 'with tokens', 'without: a list has no blocks of keys');
    }
  }
  if (want.probabilityRows) checkRows(want.probabilityRows, shape);
  return looked;
}

/** @throws ShapeError, ArgumentError */
export function checkLogSumExp(operation: string, logSumExp: Tensor, shape: AttentionShape): void {
  const expected = [shape.batches, shape.heads, shape.queries];
  if (logSumExp.dtype !== 'f32') throw new ArgumentError(`${operation}: dtype of logSumExp`, logSumExp.dtype, 'f32');
  if (logSumExp.rank !== 3 || expected.some((size, axis) => logSumExp.shape[axis] !== size)) {
    throw new ShapeError(operation, `logSumExp is [${logSumExp.shape}]; it takes [${expected}].`);
  }
}

/** @throws ArgumentError */
export function checkReduction(name: string, per: HeadReduction): void {
  if (per !== 'queryHead' && per !== 'kvHead' && per !== 'allHeads') {
    throw new ArgumentError(name, per, "'queryHead', 'kvHead', 'allHeads'");
  }
}

function checkKeyMass(request: KeyMassRequest, { queries }: AttentionShape): void {
  const name = `${operation}: want.keyMass`;
  const { per = 'queryHead', queries: range, queryWeights, keyWeights } = request;
  checkReduction(`${name}.per`, per);
  if (range && 'last' in range) checkInteger(`${name}.queries.last`, range.last, 1, 2 ** 31 - 1);
  else if (range) checkRange(`${name}.queries`, range, queries);
  for (const [field, tensor] of Object.entries({ queryWeights, keyWeights })) {
    if (tensor && tensor.dtype !== 'f32') throw new ArgumentError(`dtype of ${name}.${field}`, tensor.dtype, 'f32');
  }
}

function checkRange(name: string, { start, end }: { readonly start: number; readonly end: number }, most: number) {
  if (!(Number.isInteger(start) && Number.isInteger(end) && start >= 0 && start < end && end <= most)) {
    throw new ArgumentError(name, [start, end], `integers with 0 <= start < end <= ${most}`);
  }
}

function checkKeyNumbers(name: string, numbers: Tensor, dtype: 'u32' | 'f32', shape: AttentionShape): void {
  const { batches, heads, keys } = shape;
  if (numbers.dtype !== dtype) throw new ArgumentError(`${operation}: dtype of ${name}`, numbers.dtype, dtype);
  const expected = [batches, heads, keys];
  const fits =
    numbers.rank === 1
      ? numbers.shape[0] === keys
      : numbers.rank === 2
        ? numbers.shape[0] === batches && numbers.shape[1] === keys
        : numbers.rank === 3 && numbers.shape.every((size, axis) => size === expected[axis]);
  if (!fits) {
    throw new ShapeError(
      operation,
      `${name} is [${numbers.shape}]; it takes [${keys}], [${batches}, ${keys}] or [${expected}].`,
    );
  }
}

function checkRows(request: ProbabilityRowsRequest, { heads, queries, keys }: AttentionShape): void {
  const name = `${operation}: want.probabilityRows`;
  const { queries: rows, heads: named, keys: columns } = request;
  if (rows instanceof Tensor) {
    if (rows.dtype !== 'u32' || rows.rank !== 1 || rows.size === 0) {
      throw new ShapeError(operation, `want.probabilityRows.queries ${rows.dtype}[${rows.shape}] is not u32 [R].`);
    }
  } else if (rows.length === 0) throw new ArgumentError(`${name}.queries`, rows, 'at least one row');
  else for (const row of rows) checkInteger(`${name}.queries`, row, 0, queries - 1);
  if (named?.length === 0) throw new ArgumentError(`${name}.heads`, named, 'at least one head');
  for (const head of named ?? []) checkInteger(`${name}.heads`, head, 0, heads - 1);
  if (columns) checkRange(`${name}.keys`, columns, keys);
}
