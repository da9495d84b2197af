import type { Capabilities } from '../device/capabilities.ts';
import { ArgumentError } from '../errors.ts';
import type { AttentionShape } from './check-inputs.ts';
import type { AttentionPlanOverride, KeyAccess, LaneLayout } from './types.ts';

/** How one call is laid out. */
export interface AttentionPlan {
  readonly layout: LaneLayout;
  readonly access: KeyAccess;
  /** Query heads of a workgroup that look at the same keys (layout `features`). */
  readonly sharedHeads: number;
  /** Rows per workgroup (layout `features`). */
  readonly sharedRows: number;
  /** Parts that results are allocated for. Depends on capacities only, so that a growing cache changes no buffer. */
  readonly parts: number;
  /** Parts that are launched: fewer while the cache is short. */
  readonly launchedParts: number;
}

export interface PlanInput {
  readonly shape: AttentionShape;
  /** Whether token lists differ between the heads of a key/value group. */
  readonly listsPerQueryHead: boolean;
  /** Most entries that a row can see at full capacity, and now. */
  readonly capacityEntries: number;
  readonly entries: number;
  readonly override?: AttentionPlanOverride | undefined;
}

/** Tuning parameters of a class of adapter; docs/decisions/0010-attention-variants.md has the measurements. */
const tuning = {
  // Two to eight cores: few workgroups, and a dispatch costs as much as hundreds of keys.
  software: { mostFeatureQueries: 8, workgroups: 8, leastEntries: 512, sharedRows: 4 },
  gpu: { mostFeatureQueries: 16, workgroups: 256, leastEntries: 128, sharedRows: 4 },
} as const;

export function planAttention(capabilities: Capabilities, input: PlanInput): AttentionPlan {
  const { shape, override = {} } = input;
  const { batches, heads, kvHeads, queries, headSize } = shape;
  const {
    mostFeatureQueries,
    workgroups,
    leastEntries,
    sharedRows: mostRows,
  } = tuning[capabilities.software ? 'software' : 'gpu'];
  const layout = override.layout ?? (queries <= mostFeatureQueries ? 'features' : 'rows');
  const vectorOfEight =
    capabilities.subgroups && capabilities.subgroupMinSize === 8 && capabilities.subgroupMaxSize === 8;
  const fits = vectorOfEight && (layout === 'features' || headSize % 8 === 0);
  if (override.access === 'subgroup' && !fits) {
    throw new ArgumentError(
      'attention: plan.access',
      'subgroup',
      "'staged' here: it needs subgroups of 8, and D a multiple of 8 in the layout 'rows'",
    );
  }
  const access = override.access ?? (capabilities.software && fits ? 'subgroup' : 'staged');
  const sharedHeads = input.listsPerQueryHead ? 1 : heads / kvHeads;
  const rows = queries * sharedHeads;
  const sharedRows = Math.max(1, Math.ceil(rows / Math.ceil(rows / mostRows)));
  const rowTiles = Math.ceil(rows / sharedRows);
  const unsplit = batches * (heads / sharedHeads) * rowTiles;
  const useful = (entries: number) => Math.max(1, Math.ceil(entries / leastEntries));
  const wanted = layout === 'rows' ? 1 : Math.ceil(workgroups / unsplit);
  const parts = override.parts ?? Math.min(wanted, useful(input.capacityEntries));
  return {
    layout,
    access,
    sharedHeads,
    sharedRows,
    parts,
    launchedParts: override.parts ?? Math.min(parts, useful(input.entries)),
  };
}
