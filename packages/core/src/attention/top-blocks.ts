import type { Gpu } from '../device/gpu.ts';
import { ArgumentError, ShapeError } from '../errors.ts';
import { defineKernel, type Variant } from '../kernels/kernel.ts';
import { topK } from '../ops/top-k.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { checkInteger } from './check-inputs.ts';
import type { BlockList, HeadGrouping } from './lists.ts';

/** Key blocks [start, end). */
export interface BlockRange {
  readonly start: number;
  readonly end: number;
}

/** One choice among the key blocks of each list. */
export interface BlockChoice {
  /** f32 [B, H | Hkv | 1, Nb, n]: what each row of query blocks ranks its n key blocks by, largest first, ties to the lower block. */
  readonly scores: Tensor;
  /** How many are chosen, from 1 to the number of candidates. */
  readonly k: number;
  /** The candidates. Default: all n. */
  readonly among?: BlockRange;
  /** Of those chosen, the ones that the list gets. Default: all. */
  readonly keep?: BlockRange;
}

export interface TopBlocksOptions {
  /** Queries of a row of blocks, and keys of a block, as the scores were computed over. */
  readonly queryBlock: number;
  readonly keyBlock: number;
  /** Whose lists they are. Default `queryHead`. */
  readonly per?: HeadGrouping;
}

/** Most choices that a list unites: with the list and its counts they fill the least number of storage bindings. */
const mostChoices = 6;

const lanes = 64;

interface JoinVariant extends Variant {
  readonly choices: number;
}

const each = (choices: number) => Array.from({ length: choices }, (_, choice) => choice);

/** One invocation per list: what the choices named, one choice behind the other, less what is not kept. */
const joinBlocks = defineKernel<JoinVariant>({
  name: 'attention.joinBlocks',
  bindings: ({ choices }) => [
    ...each(choices).map((choice) => ({ name: `chosen_${choice}`, type: 'array<u32>', access: 'read' }) as const),
    { name: 'indices', type: 'array<u32>', access: 'read_write' },
    { name: 'counts', type: 'array<u32>', access: 'read_write' },
  ],
  parameters: ({ choices }) => [
    ['lists', 'u32'],
    ['length', 'u32'],
    ...each(choices).flatMap((choice) =>
      ['length', 'offset', 'start', 'end'].map((name) => [`${name}_${choice}`, 'u32'] as const),
    ),
  ],
  workgroupSize: () => lanes,
  source: ({ choices }) => ({
    main: `
  let list = group * ${lanes}u + lane;
  if (list >= params.lists) { return; }
  let base = list * params.length;
  var count = 0u;
  ${each(choices)
    .map(
      (choice) => `for (var at = 0u; at < params.length_${choice}; at++) {
    let block = chosen_${choice}[list * params.length_${choice} + at] + params.offset_${choice};
    if (block >= params.start_${choice} && block < params.end_${choice}) {
      indices[base + count] = block;
      count++;
    }
  }`,
    )
    .join('\n  ')}
  counts[list] = count;
  for (; count < params.length; count++) { indices[base + count] = 0xffffffffu; }`,
  }),
});

/**
 * Lists of the key blocks with the highest scores, for each head and row of query blocks: exact, and nothing is read back.
 * Several choices that keep disjoint ranges of blocks are united into one list, each in ascending order.
 *
 * ```ts
 * const { logSumExp } = attention(q, k, v, { returnLogSumExp: true });
 * const blocks = { queryBlock: 64, keyBlock: 64 };
 * const { blockMean: scores } = attentionStatistics(q, k, { logSumExp, want: { blockMean: blocks } });
 * attention(q, k, v, { blocks: topBlocks({ scores, k: 4 }, blocks) });
 * ```
 *
 * @returns Lists u32 [B, H | Hkv | 1, Nb, sum of k] with counts on the device, as {@link attention} takes them.
 * @throws ShapeError, ArgumentError; LimitError for scores over the binding limit
 */
export function topBlocks(
  choices: BlockChoice | readonly BlockChoice[],
  { queryBlock, keyBlock, per = 'queryHead' }: TopBlocksOptions,
): BlockList & { readonly counts: Tensor } {
  const given = Array.isArray(choices) ? (choices as readonly BlockChoice[]) : [choices as BlockChoice];
  checkInteger('topBlocks: queryBlock', queryBlock, 1, 2 ** 30);
  checkInteger('topBlocks: keyBlock', keyBlock, 1, 2 ** 20);
  checkInteger('topBlocks: number of choices', given.length, 1, mostChoices);
  const [{ scores }] = given as readonly [BlockChoice];
  const resolved = given.map((choice, index) => resolve(choice, index, scores));
  checkDisjoint(resolved.map(({ keep }) => keep));
  const { gpu } = scores;
  return gpu.tidy(() => {
    const { indices, counts } = join(gpu, resolved, scores.shape.slice(0, 3));
    return { indices, counts, queryBlock, keyBlock, per };
  });
}

type ResolvedChoice = Required<BlockChoice>;

function resolve(choice: BlockChoice, index: number, { shape }: Tensor): ResolvedChoice {
  const name = `topBlocks: choices[${index}]`;
  const { scores, k } = choice;
  if (scores.dtype !== 'f32') throw new ArgumentError(`${name}.scores: dtype`, scores.dtype, 'f32');
  if (scores.rank !== 4 || scores.shape.some((size, axis) => size !== shape[axis])) {
    throw new ShapeError(name, `scores are [${scores.shape}]; they take [B, H, Nb, n], the same for all choices.`);
  }
  const all = { start: 0, end: shape[3] as number };
  const among = choice.among ?? all;
  const keep = choice.keep ?? among;
  for (const [field, range] of Object.entries({ among, keep })) {
    const { start, end } = range;
    if (!(Number.isInteger(start) && Number.isInteger(end) && start >= 0 && start <= end && end <= all.end)) {
      throw new ArgumentError(`${name}.${field}`, [start, end], `integers with 0 <= start <= end <= ${all.end}`);
    }
  }
  checkInteger(`${name}.k`, k, 1, among.end - among.start);
  return { scores, k, among, keep };
}

/** A block that stood in a list twice would count twice. */
function checkDisjoint(ranges: readonly BlockRange[]): void {
  for (const [index, a] of ranges.entries()) {
    const other = ranges.slice(index + 1).find((b) => Math.max(a.start, b.start) < Math.min(a.end, b.end));
    if (other) {
      throw new ArgumentError(
        'topBlocks: choices',
        `ranges [${a.start}, ${a.end}) and [${other.start}, ${other.end})`,
        'disjoint ranges to keep',
      );
    }
  }
}

function join(gpu: Gpu, choices: readonly ResolvedChoice[], lead: readonly number[]) {
  const chosen = choices.map(
    ({ scores, k, among }) => topK(scores.slice(3, among.start, among.end), k, { order: 'index' }).indices,
  );
  const length = choices.reduce((sum, { k }) => sum + k, 0);
  const [indices, counts] = [gpu.empty([...lead, length], 'u32'), gpu.empty(lead, 'u32')];
  gpu.launch(
    joinBlocks,
    { choices: choices.length },
    {
      bindings: [...chosen, indices, counts],
      parameters: [
        counts.size,
        length,
        ...choices.flatMap(({ k, among, keep }) => [k, among.start, keep.start, keep.end]),
      ],
      workgroups: Math.ceil(counts.size / lanes),
      cost: { flops: indices.size, bytes: 8 * indices.size + 4 * counts.size },
    },
  );
  return { indices, counts };
}
