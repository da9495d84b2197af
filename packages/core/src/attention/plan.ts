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
  /** Consecutive queries that share lists, N where all do. */
  readonly queryBlock: number;
  /** Whether token lists differ between the heads of a key/value group. */
  readonly listsPerQueryHead: boolean;
  /** Most entries that a row can see at full capacity, and now. */
  readonly capacityEntries: number;
  readonly entries: number;
  readonly override?: AttentionPlanOverride | undefined;
}

/**
 * Tuning parameters of a class of adapter; docs/decisions/0010-attention-variants.md has the measurements.
 * `mostFeatureQueries`: longest query block in the layout `features`. `workgroups`: what splitting aims at.
 * `leastEntries`: of a part.
 */
interface Tuning {
  readonly mostFeatureQueries: number;
  readonly workgroups: number;
  readonly leastEntries: number;
  readonly sharedRows: (headSize: number) => number;
}

const tunings: Readonly<Record<'gpu' | 'software' | 'softwareSubgroups', Tuning>> = {
  gpu: { mostFeatureQueries: 16, workgroups: 256, leastEntries: 128, sharedRows: () => 4 },
  // A few cores: few workgroups, and a dispatch costs as much as hundreds of keys.
  software: { mostFeatureQueries: 8, workgroups: 12, leastEntries: 512, sharedRows: () => 3 },
  softwareSubgroups: {
    mostFeatureQueries: Number.POSITIVE_INFINITY,
    workgroups: 12,
    leastEntries: 512,
    // Wider heads would spill their registers.
    sharedRows: (headSize) => (headSize <= 64 ? 8 : headSize <= 128 ? 4 : 2),
  },
};

export function planAttention(capabilities: Capabilities, input: PlanInput): AttentionPlan {
  const { shape, queryBlock, override = {} } = input;
  const { batches, heads, kvHeads, queries, headSize } = shape;
  const { software, subgroups, subgroupMinSize, subgroupMaxSize } = capabilities;
  const eight = subgroups && subgroupMinSize === 8 && subgroupMaxSize === 8;
  const tuning = tunings[!software ? 'gpu' : eight ? 'softwareSubgroups' : 'software'];
  const layout = override.layout ?? (queryBlock <= tuning.mostFeatureQueries ? 'features' : 'rows');
  const access = override.access ?? (software && eight && layout === 'features' ? 'subgroup' : 'staged');
  if (access === 'subgroup' && (!eight || layout === 'rows')) {
    throw new ArgumentError(
      'attention: plan.access',
      access,
      "'staged' ('subgroup' needs subgroups of 8 and 'features')",
    );
  }
  const sharedHeads = input.listsPerQueryHead ? 1 : heads / kvHeads;
  const rows = queryBlock * sharedHeads;
  const most = tuning.sharedRows(headSize);
  const sharedRows = override.sharedRows ?? Math.max(1, Math.ceil(rows / Math.ceil(rows / most)));
  const blocks = Math.ceil(queries / Math.max(queryBlock, 1));
  const unsplit = batches * (heads / sharedHeads) * blocks * Math.ceil(rows / sharedRows);
  const useful = (entries: number) => Math.max(1, Math.ceil(entries / tuning.leastEntries));
  const wanted = layout === 'rows' ? 1 : Math.ceil(tuning.workgroups / unsplit);
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
