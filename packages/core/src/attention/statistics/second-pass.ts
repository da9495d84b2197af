import type { Capabilities } from '../../device/capabilities.ts';
import type { Gpu } from '../../device/gpu.ts';
import type { LaunchBinding } from '../../device/launcher.ts';
import { ArgumentError } from '../../errors.ts';
import type { BindingDeclaration, KernelDefinition, KernelSource, ParameterList } from '../../kernels/kernel.ts';
import { LOWEST } from '../../kernels/wgsl.ts';
import type { KernelTiming } from '../../profiling/profiler.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { callParameters, callValues, listParameters, listValues, placeParameters } from '../call-parameters.ts';
import { CallParts, numberParameters } from '../call-parts.ts';
import { type AttentionShape, checkLists } from '../check-inputs.ts';
import { dotProductText } from '../dot-products.ts';
import { type AttentionDtype, inputAccess, type RowDtype } from '../elements.ts';
import type { MaskSources } from '../mask-sources.ts';
import { modifiedScore } from '../online-softmax.ts';
import { type KeyRows, rowInput } from '../paged/paged-rows.ts';
import { callBounds, columnsOf } from '../plan-call.ts';
import {
  type EntryNames,
  entryFunctions,
  loadRow,
  type PositionVariant,
  type QueryNames,
  visibleAtOnce,
} from '../positions.ts';
import { scoreText } from '../score-modifiers.ts';
import {
  bindSideInputs,
  type SideInput,
  type SideInputVariant,
  sideBindings,
  sideFunctions,
  sideLoad,
  sideParameters,
} from '../side-inputs.ts';
import { inQuads, placeOf, stridedInput } from '../strided-input.ts';
import { multiplierAt, trustText } from '../trust.ts';
import type { WhereToLook } from '../types.ts';
import { callSources, listEntries, listPlaces, whereToLook } from '../where-to-look.ts';

/** Invocations of a workgroup of every second pass. */
export const lanes = 64;

/** What shapes the WGSL of every pass over q k^T that follows attention's own. */
export interface SecondPassVariant extends PositionVariant {
  /** Head size where it is no multiple of four, else 0: the text does not depend on it then. */
  readonly raggedHeadSize: number;
  readonly queryDtype: AttentionDtype;
  readonly keyDtype: RowDtype;
  readonly queryVector: boolean;
  readonly keyVector: boolean;
  /** Scores pass through `modified_score`. */
  readonly scored: boolean;
  /** Probabilities have factors per key. */
  readonly multiplied: boolean;
  /** WGSL functions of mask and score modifiers, and the scalars that they take. */
  readonly functions: string;
  readonly numbers: string;
  readonly [field: string]: string | number | boolean;
}

/** Bindings of every second pass: lengths, lists and what is given beside q and k are side inputs. */
export function secondPassBindings(variant: SecondPassVariant, capabilities: Capabilities): BindingDeclaration[] {
  const { queryDtype, queryVector, keyDtype, keyVector } = variant;
  return [
    { name: 'query', type: inputAccess('query', queryDtype, queryVector, capabilities).type, access: 'read' },
    { name: 'keys', type: inputAccess('keys', keyDtype, keyVector, capabilities).type, access: 'read' },
    ...sideBindings(variant),
    { name: 'result', type: 'array<f32>', access: 'read_write' },
  ];
}

const parameters: ParameterList = [
  ...callParameters,
  ...placeParameters('query'),
  ...placeParameters('key'),
  ...listParameters,
  ['columns', 'u32'],
];

/** Parameters of a second pass: those of all, then its own. */
export function secondPassParameters(own: ParameterList): (variant: SecondPassVariant) => ParameterList {
  return (variant) => [...parameters, ...own, ...sideParameters(variant), ...numberParameters(variant.numbers)];
}

/** A call as the kernels take it. */
export interface SecondPass {
  readonly gpu: Gpu;
  readonly shape: AttentionShape;
  readonly variant: Omit<SecondPassVariant, keyof SideInputVariant>;
  /** Queries and keys. */
  readonly bindings: readonly LaunchBinding[];
  readonly sides: readonly SideInput[];
  readonly parameters: readonly number[];
  /** Of the variant's `numbers`. */
  readonly numbers: readonly number[];
  /** Valid keys and queries as far as the host knows; entries that a head looks at. */
  readonly keyBound: number;
  readonly queryBound: number;
  readonly entries: number;
  /** Query heads that share a token list; 0 where there are none. */
  readonly listShare: number;
  /** Keys of a result, M: the rows of a head, in ragged storage the most that a head has. */
  readonly columns: number;
}

export function secondPass(
  operation: string,
  q: Tensor,
  k: KeyRows,
  shape: AttentionShape,
  options: WhereToLook,
): SecondPass {
  const { gpu } = q;
  const { headSize } = shape;
  const sources = checkSources(operation, shape, options);
  const tokens = sources.tokens?.list;
  const bounds = callBounds(shape, options);
  const parts = new CallParts();
  const where = whereToLook(shape, options, sources, parts);
  // A sink takes part in the log-sum-exp, which is given.
  const modifiers = options.scoreModifiers?.filter(({ kind }) => kind !== 'sinks');
  const { scored } = scoreText(modifiers, shape, parts);
  const { multipliers } = trustText(
    options.keyMultipliers ? { keyMultipliers: options.keyMultipliers } : {},
    shape,
    parts,
  );
  const [query, key] = [stridedInput(gpu, operation, 'q', q), rowInput(operation, 'k', k, parts)] as const;
  const columns = columnsOf(shape, options);
  const quads = headSize % 4 === 0;
  return {
    gpu,
    shape,
    variant: {
      ...where,
      scored,
      multiplied: multipliers !== 'none',
      functions: parts.functions,
      numbers: parts.numbers,
      raggedHeadSize: quads ? 0 : headSize,
      queryDtype: q.dtype as AttentionDtype,
      keyDtype: k.dtype as RowDtype,
      queryVector: quads && inQuads(query),
      keyVector: quads && inQuads(key),
    },
    bindings: [query.range, key.range],
    sides: parts.sides,
    parameters: [
      ...callValues(shape, options, bounds),
      ...placeOf(query),
      ...placeOf(key),
      ...listValues(tokens, shape),
      columns,
    ],
    numbers: parts.values,
    ...bounds,
    entries: tokens ? listEntries(tokens).count : bounds.keyBound,
    listShare: tokens ? listPlaces(tokens, shape).share : 0,
    columns,
  };
}

/**
 * Where the keys come from: all rows or one token list for all queries of a head, narrowed by any predicate.
 * @throws ArgumentError for lists of blocks or per query block, and for unions with lists: they say which rows stand in
 *   which block of queries, and a pass that goes from key to key cannot tell.
 */
export function checkSources(operation: string, shape: AttentionShape, options: WhereToLook): MaskSources {
  const sources = callSources(options);
  checkLists(operation, sources, shape);
  const { tokens, blocks, range } = sources;
  const refused = blocks
    ? 'a list of blocks'
    : tokens?.list.queryBlock !== undefined
      ? 'lists per query block'
      : tokens && range
        ? 'a union of a list with others'
        : undefined;
  if (refused) {
    throw new ArgumentError(`${operation}: keys`, refused, 'all rows or a token list per head, and any mask over them');
  }
  return sources;
}

/** WGSL of a second pass with the functions that its `main` uses: predicates, modifiers, loads. */
export function secondPassSource(variant: SecondPassVariant, main: string, declarations = ''): KernelSource {
  const functions = `${variant.functions}${entryFunctions(variant)}`;
  return { declarations: `${declarations}${sideFunctions(variant, functions + main)}${functions}`, main };
}

/** What a second pass adds to the call: its own variant, tensors given beside q and k, and its launch. */
export interface SecondPassLaunch {
  readonly variant: Readonly<Record<string, string | number | boolean>>;
  readonly given: readonly SideInput[];
  readonly result: Tensor;
  /** Bound behind the result, for kernels that count. */
  readonly counter?: Tensor;
  readonly parameters: readonly number[];
  readonly workgroups: number;
  readonly cost: KernelTiming;
}

export function launchSecondPass<V extends SecondPassVariant>(
  pass: SecondPass,
  kernel: KernelDefinition<V>,
  { variant, given, result, counter, parameters: own, workgroups, cost }: SecondPassLaunch,
): void {
  const { gpu } = pass;
  // Queries, keys and the result take three bindings.
  const taken = counter ? 4 : 3;
  const side = bindSideInputs(gpu, [...pass.sides, ...given], gpu.capabilities.maxStorageBuffers - taken);
  gpu.launch(kernel, { ...pass.variant, ...variant, inputs: side.inputs, packed: side.packed } as unknown as V, {
    bindings: [...pass.bindings, ...side.bindings, result, ...(counter ? [counter] : [])],
    parameters: [...pass.parameters, ...own, ...side.parameters, ...pass.numbers],
    workgroups,
    cost,
  });
}

/** Workgroups that splitting aims at: enough for a GPU, a few for the cores of a software adapter. */
export function wantedWorkgroups(pass: SecondPass): number {
  return pass.gpu.capabilities.software ? 12 : 256;
}

/** Where a query's row starts, as WGSL. */
export function queryAt(head: string, query: string): string {
  return `params.query_start + batch * params.query_batch + (${head}) * params.query_head + (${query}) * params.query_row`;
}

/** Index of a row among all, as WGSL. */
export function rowAt(head: string, query: string): string {
  return `(batch * params.heads + ${head}) * params.queries + ${query}`;
}

/** Column of a result that an entry of a list stands for; none where it lies past the list or the valid keys. */
export function listedColumn(variant: SecondPassVariant, entry: string): string {
  const row = sideLoad(variant, 'list', `list_base + ${entry}`);
  return `select(0xffffffffu, ${row}, ${entry} < end && ${row} < key_length)`;
}

/** The log-sum-exps [B, H, N] as a side input. */
export function logSumExps(tensor: Tensor): SideInput {
  return { name: 'log_sum_exps', type: 'f32', tensor };
}

export function logSumExpAt(variant: SecondPassVariant, row: string): string {
  return sideLoad(variant, 'log_sum_exps', row, 'f32');
}

/**
 * Declares `score_<i>`: raw dot products of each query with each key (i counts through queries, then keys). The arguments
 * are the rows' starts, as WGSL. Every quad is loaded once.
 */
export function dotProducts(
  variant: SecondPassVariant,
  capabilities: Capabilities,
  queries: readonly string[],
  keys: readonly string[],
): string {
  const { raggedHeadSize } = variant;
  return dotProductText('score', raggedHeadSize, [
    { input: inputAccess('query', variant.queryDtype, variant.queryVector, capabilities), at: queries },
    { input: inputAccess('keys', variant.keyDtype, variant.keyVector, capabilities), at: keys },
  ]);
}

/** A query and a key of a tile: the name of their raw dot product, and where they stand. */
export interface Pair {
  readonly raw: string;
  readonly key: EntryNames;
  readonly own: QueryNames;
}

/** Whether the query sees the key. */
export function seen(variant: SecondPassVariant, { key, own }: Pair): string {
  return visibleAtOnce(variant, key, own);
}

/** The pair's score, as in the tile loop. */
export function score(variant: SecondPassVariant, { raw, key, own }: Pair): string {
  return modifiedScore(variant, { ...key, score: raw }, own);
}

/**
 * The pair's probability: exp(score - log-sum-exp) where `sees` holds, else 0; times the key's factor, where there are
 * factors. Rows that saw no key hold a sentinel as log-sum-exp; no weight may come of it.
 */
export function probability(variant: SecondPassVariant, pair: Pair, logSumExp: string, sees: string): string {
  const exponent = `${score(variant, pair)} - ${logSumExp}`;
  const weight = `exp(select(${LOWEST}, ${exponent}, (${sees}) & (${logSumExp} > 0.5 * ${LOWEST})))`;
  return variant.multiplied ? `${weight} * ${multiplierAt(pair.own.head, loadRow(variant, pair.key.row))}` : weight;
}
