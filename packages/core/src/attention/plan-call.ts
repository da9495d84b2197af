import type { Capabilities } from '../device/capabilities.ts';
import type { AttentionShape } from './check-inputs.ts';
import { type AttentionPlan, planAttention } from './plan.ts';
import { stagedRowsPerWorkgroup } from './rows-layout.ts';
import type { AttentionOptions, WhereToLook } from './types.ts';

/** The sizes that the host knows; lengths on the device count as their bounds. */
export interface CallBounds {
  readonly keyBound: number;
  readonly queryBound: number;
  readonly listLength: number;
  readonly listCount: number;
}

export function callBounds({ queries, keys }: AttentionShape, options: WhereToLook): CallBounds {
  const { keyLength = keys, queryLength = queries, tokens } = options;
  const listLength = tokens?.indices.shape[2] ?? 0;
  return {
    keyBound: typeof keyLength === 'number' ? keyLength : (options.keyBound ?? keys),
    queryBound: typeof queryLength === 'number' ? queryLength : queries,
    listLength,
    listCount: typeof tokens?.counts === 'number' ? tokens.counts : listLength,
  };
}

/** A call's plan. */
export interface CallPlan extends CallBounds {
  readonly plan: AttentionPlan;
  /** Query rows of one workgroup, and the query heads that they span. */
  readonly rowsPerGroup: number;
  readonly headsPerGroup: number;
  /** Groups of rows per batch entry. */
  readonly rowGroups: number;
}

export function planCall(capabilities: Capabilities, shape: AttentionShape, options: AttentionOptions): CallPlan {
  const { heads, queries, keys } = shape;
  const { tokens, slidingWindow, keyPositions } = options;
  const bounds = callBounds(shape, options);
  const { keyBound, listLength, listCount } = bounds;
  const windowed = (entries: number) =>
    slidingWindow === undefined || !options.causal || keyPositions
      ? entries
      : Math.min(entries, slidingWindow + queries);
  const plan = planAttention(capabilities, {
    shape,
    listsPerQueryHead: tokens?.per === 'queryHead',
    capacityEntries: tokens ? listLength : windowed(keys),
    entries: tokens ? listCount : windowed(keyBound),
    override: options.plan,
  });
  const headsPerGroup = plan.layout === 'rows' ? 1 : plan.sharedHeads;
  const rowsPerGroup = plan.layout === 'rows' ? stagedRowsPerWorkgroup : plan.sharedRows;
  const rowGroups = (heads / headsPerGroup) * Math.ceil((queries * headsPerGroup) / rowsPerGroup);
  return { ...bounds, plan, rowsPerGroup, headsPerGroup, rowGroups };
}
