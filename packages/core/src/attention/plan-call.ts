import type { AttentionShape } from './check-inputs.ts';
import type { MaskSources } from './mask-sources.ts';
import { type AttentionPlan, type PlannedDevice, planAttention } from './plan.ts';
import { stagedRowsPerWorkgroup } from './rows-layout.ts';
import type { AttentionOptions, WhereToLook } from './types.ts';
import { commonQueryBlock, differsInGroup, listEntries, listPlaces } from './where-to-look.ts';

/** The sizes that the host knows; lengths on the device count as their bounds. */
export interface CallBounds {
  readonly keyBound: number;
  readonly queryBound: number;
}

export function callBounds({ queries, keys }: AttentionShape, options: WhereToLook): CallBounds {
  const { keyLength = keys, queryLength = queries } = options;
  return {
    keyBound: typeof keyLength === 'number' ? keyLength : (options.keyBound ?? keys),
    queryBound: typeof queryLength === 'number' ? queryLength : queries,
  };
}

/** Keys of a row of results, M: the rows of a head, in ragged storage the most that a head has. */
export function columnsOf({ keys }: AttentionShape, options: WhereToLook): number {
  return options.keyStarts ? (options.keyBound ?? keys) : keys;
}

/** A call's plan. */
export interface CallPlan extends CallBounds {
  readonly plan: AttentionPlan;
  /** Entries of the lists: of a token list, and rows of the blocks of a block list. */
  readonly listedEntries: number;
  /** Query rows of one workgroup, and the query heads that they span. */
  readonly rowsPerGroup: number;
  readonly headsPerGroup: number;
  /** Consecutive queries that workgroups do not mix with others. */
  readonly queryBlock: number;
  /** Groups of rows per batch entry. */
  readonly rowGroups: number;
}

export function planCall(
  device: PlannedDevice,
  shape: AttentionShape,
  options: AttentionOptions,
  sources: MaskSources,
): CallPlan {
  const { heads, queries, keys } = shape;
  const { slidingWindow, keyPositions } = options;
  const { tokens, blocks, range } = sources;
  const bounds = callBounds(shape, options);
  const tokenEntries = tokens ? listEntries(tokens.list) : { length: 0, count: 0 };
  const blockEntries = blocks ? listEntries(blocks.list) : { length: 0, count: 0 };
  const listed = (which: 'length' | 'count') =>
    tokenEntries[which] + blockEntries[which] * (blocks?.list.keyBlock ?? 0);
  const windowed = (entries: number) =>
    slidingWindow === undefined || !options.causal || keyPositions
      ? entries
      : Math.min(entries, slidingWindow + queries);
  const queryBlock = Math.min(queries, commonQueryBlock(sources) ?? queries);
  const plan = planAttention(device, {
    shape,
    queryBlock,
    listsPerQueryHead: [tokens, blocks].some(
      (source) => source && differsInGroup(source.list.per, listPlaces(source.list, shape).heads),
    ),
    capacityEntries: listed('length') + (range ? windowed(keys) : 0),
    entries: listed('count') + (range ? windowed(bounds.keyBound) : 0),
    override: options.plan,
  });
  const stagedRows = plan.layout === 'rows' && plan.access === 'staged';
  const headsPerGroup = stagedRows ? 1 : plan.sharedHeads;
  const rowsPerGroup = stagedRows ? stagedRowsPerWorkgroup : plan.sharedRows;
  const groupsPerBlock = Math.ceil((queryBlock * headsPerGroup) / rowsPerGroup);
  return {
    ...bounds,
    plan,
    listedEntries: listed('count'),
    rowsPerGroup,
    headsPerGroup,
    queryBlock,
    rowGroups: (heads / headsPerGroup) * Math.ceil(queries / Math.max(queryBlock, 1)) * groupsPerBlock,
  };
}
