import type { Capabilities } from '../device/capabilities.ts';
import type { TunedFamily } from '../tuning/tuning.ts';
import type { AttentionPlanOverride } from './types.ts';

/** How many query rows are laid out. `rowsPerInvocation`: most that one invocation of the layout `rows` with access `subgroup` owns, by head size. */
export interface PrefillVariant extends Required<Pick<AttentionPlanOverride, 'layout' | 'access'>> {
  readonly rowsPerInvocation: (headSize: number) => number;
}

/** Rows whose queries have `elements` numbers together: those that registers, or a cache beside them, are to hold. */
const rowsWithin = (elements: number) => (headSize: number) =>
  Math.max(1, Math.min(4, Math.floor(elements / headSize)));

const variants = {
  'staged rows': { layout: 'rows', access: 'staged', rowsPerInvocation: () => 1 },
  'subgroup rows of 64': { layout: 'rows', access: 'subgroup', rowsPerInvocation: rowsWithin(64) },
  'subgroup rows of 128': { layout: 'rows', access: 'subgroup', rowsPerInvocation: rowsWithin(128) },
  'subgroup rows of 256': { layout: 'rows', access: 'subgroup', rowsPerInvocation: rowsWithin(256) },
  'subgroup features': { layout: 'features', access: 'subgroup', rowsPerInvocation: () => 1 },
} as const satisfies Record<string, PrefillVariant>;

type PrefillName = keyof typeof variants;

/** Whether subgroups are exactly as wide as the vectors of a software adapter. */
export function eightLanes({ subgroups, subgroupMinSize, subgroupMaxSize }: Capabilities): boolean {
  return subgroups && subgroupMinSize === 8 && subgroupMaxSize === 8;
}

/** Whether every subgroup has eight invocations that can hand each other what they load. */
export function broadcastsToEight({ subgroups, subgroupMinSize }: Capabilities): boolean {
  return subgroups && subgroupMinSize >= 8;
}

/** Layouts of attention with many queries. */
export const prefillFamily: TunedFamily = {
  name: 'attention.prefill',
  variants: (capabilities): readonly [PrefillName, ...PrefillName[]] => {
    if (capabilities.software && eightLanes(capabilities)) {
      return ['subgroup rows of 256', 'subgroup rows of 128', 'subgroup features'];
    }
    return broadcastsToEight(capabilities)
      ? ['staged rows', 'subgroup rows of 64', 'subgroup rows of 128']
      : ['staged rows'];
  },
};

export function prefillVariant(name: string): PrefillVariant {
  return variants[name as PrefillName];
}

/** Invocations of a workgroup of the layout `rows` with access `subgroup`: one subgroup of a software adapter, else several. */
export function subgroupRowsWorkgroup({ subgroupMaxSize }: Capabilities): number {
  return subgroupMaxSize === 8 ? 8 : 64;
}
