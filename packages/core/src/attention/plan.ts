import type { Capabilities } from '../device/capabilities.ts';
import { ArgumentError } from '../errors.ts';
import { type Tuning, tunedVariant } from '../tuning/tuning.ts';
import type { AttentionShape } from './check-inputs.ts';
import {
  broadcastsToEight,
  eightLanes,
  prefillFamily,
  prefillVariant,
  subgroupRowsWorkgroup,
} from './prefill-variants.ts';
import type { AttentionPlanOverride, KeyAccess, LaneLayout } from './types.ts';

/** How one call is laid out. */
export interface AttentionPlan {
  readonly layout: LaneLayout;
  readonly access: KeyAccess;
  /** Query heads of a workgroup that look at the same keys (not in staged rows). */
  readonly sharedHeads: number;
  /** Rows per workgroup; of the layout `rows` with access `staged` see `stagedRowsPerWorkgroup`. */
  readonly sharedRows: number;
  /** Parts that results are allocated for. Depends on capacities only, so that a growing cache changes no buffer. */
  readonly parts: number;
  /** Parts that are launched: fewer while the cache is short. */
  readonly launchedParts: number;
}

/** What is planned for: a `Gpu`, or what is known of one. */
export interface PlannedDevice {
  readonly capabilities: Capabilities;
  readonly tuning?: Tuning | undefined;
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
 * `mostFeatureQueries`: longest query block that is laid out as in decoding; a longer one is as the tuned `attention.prefill` says.
 * `workgroups`: what splitting aims at. `leastEntries`: of a part.
 */
interface PlanConstants {
  readonly mostFeatureQueries: number;
  readonly workgroups: number;
  readonly leastEntries: number;
  readonly sharedRows: (headSize: number) => number;
}

const constants: Readonly<Record<'gpu' | 'software' | 'softwareSubgroups', PlanConstants>> = {
  gpu: { mostFeatureQueries: 16, workgroups: 256, leastEntries: 128, sharedRows: () => 4 },
  // A few cores: few workgroups, and a dispatch costs as much as hundreds of keys.
  software: { mostFeatureQueries: 8, workgroups: 12, leastEntries: 512, sharedRows: () => 3 },
  softwareSubgroups: {
    mostFeatureQueries: 8,
    workgroups: 12,
    leastEntries: 512,
    // Wider heads would spill their registers.
    sharedRows: (headSize) => (headSize <= 64 ? 8 : headSize <= 128 ? 4 : 2),
  },
};

function constantsOf(capabilities: Capabilities): PlanConstants {
  if (!capabilities.software) return constants.gpu;
  return eightLanes(capabilities) ? constants.softwareSubgroups : constants.software;
}

/** Rows of each workgroup where `most` are to be shared out evenly, in multiples of the invocations that own them. */
function evenRows(rows: number, most: number, multiple: number): number {
  const groups = Math.ceil(rows / most);
  return multiple * Math.max(1, Math.ceil(rows / groups / multiple));
}

/** @throws ArgumentError for an access that the adapter does not have */
export function planAttention({ capabilities, tuning }: PlannedDevice, input: PlanInput): AttentionPlan {
  const { shape, queryBlock, override = {} } = input;
  const { batches, heads, kvHeads, queries, headSize } = shape;
  const { mostFeatureQueries, ...limits } = constantsOf(capabilities);
  const prefill = prefillVariant(tunedVariant(prefillFamily, capabilities, tuning));
  const layout = override.layout ?? (queryBlock <= mostFeatureQueries ? 'features' : prefill.layout);
  const featureAccess = capabilities.software && eightLanes(capabilities) ? 'subgroup' : 'staged';
  const access = override.access ?? (layout === 'features' ? featureAccess : prefill.access);
  if (access === 'subgroup' && !(layout === 'rows' ? broadcastsToEight : eightLanes)(capabilities)) {
    const needed = layout === 'rows' ? 'subgroups of at least 8' : 'subgroups of 8';
    throw new ArgumentError('attention: plan.access', access, `'staged' ('subgroup' needs ${needed})`);
  }
  const sharedHeads = input.listsPerQueryHead ? 1 : heads / kvHeads;
  const rows = queryBlock * sharedHeads;
  const owners = layout === 'rows' ? subgroupRowsWorkgroup(capabilities) : 1;
  const most = layout === 'rows' ? owners * prefill.rowsPerInvocation(headSize) : limits.sharedRows(headSize);
  const sharedRows = override.sharedRows
    ? owners * Math.ceil(override.sharedRows / owners)
    : evenRows(rows, most, owners);
  const blocks = Math.ceil(queries / Math.max(queryBlock, 1));
  const unsplit = batches * (heads / sharedHeads) * blocks * Math.ceil(rows / sharedRows);
  const useful = (entries: number) => Math.max(1, Math.ceil(entries / limits.leastEntries));
  const wanted = layout === 'rows' ? 1 : Math.ceil(limits.workgroups / unsplit);
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
