import type { Capabilities } from '../device/capabilities.ts';
import type { AttentionShape } from './check-inputs.ts';
import { type AttentionPlan, planAttention } from './plan.ts';
import { stagedRowsPerWorkgroup } from './rows-layout.ts';
import type { AttentionOptions } from './types.ts';

/** A call's plan with the sizes that the host knows; lengths on the device count as their bounds. */
export interface CallPlan {
  readonly plan: AttentionPlan;
  readonly keyBound: number;
  readonly queryBound: number;
  readonly listLength: number;
  readonly listCount: number;
  /** Query rows of one workgroup, and the query heads that they span. */
  readonly rowsPerGroup: number;
  readonly headsPerGroup: number;
  /** Groups of rows per batch entry. */
  readonly rowGroups: number;
}

export function planCall(capabilities: Capabilities, shape: AttentionShape, options: AttentionOptions): CallPlan {
  const { heads, queries, keys } = shape;
  const { keyLength = keys, queryLength = queries, tokens, slidingWindow, keyPositions } = options;
  const listLength = tokens?.indices.shape[2] ?? 0;
  const listCount = typeof tokens?.counts === 'number' ? tokens.counts : listLength;
  const keyBound = typeof keyLength === 'number' ? keyLength : (options.keyBound ?? keys);
  const queryBound = typeof queryLength === 'number' ? queryLength : queries;
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
  return { plan, keyBound, queryBound, listLength, listCount, rowsPerGroup, headsPerGroup, rowGroups };
}
