import { chooseTiles, findPerfect, type SimulateOptions, simulate } from '@saccade/gna';
import { UsageError } from '../../usage-error.ts';

/** A neighbourhood that is measured, and what the simulator says of it. */
export interface SpeedSetting extends SimulateOptions {
  readonly layout: readonly number[];
  readonly window: readonly number[];
  readonly stride: readonly number[];
  /** Speed-up by the tiles that are visited on average: what workgroups that queue for a few cores can reach. */
  readonly predicted: number;
  /** By the busiest tile of queries, as published. */
  readonly bound: number;
  readonly perfect: boolean;
}

/** Layouts and wished windows by number of tokens. */
const wishes: readonly { readonly layout: readonly number[]; readonly window: readonly number[] }[] = [
  { layout: [32, 32], window: [16, 16] },
  { layout: [64, 64], window: [32, 32] },
  { layout: [64, 64], window: [16, 16] },
  { layout: [16, 16, 16], window: [4, 8, 8] },
  { layout: [128, 128], window: [32, 32] },
  { layout: [16, 32, 32], window: [8, 16, 16] },
];

const tokensOf = ({ layout }: { readonly layout: readonly number[] }) =>
  layout.reduce((product, size) => product * size, 1);

/**
 * Of each layout of that many tokens: the perfectly block-sparse setting nearest to the wished window, and the window as it slides.
 *
 * @throws UsageError where there is no such layout
 */
export function speedSettings(tokens: number): SpeedSetting[] {
  const own = wishes.filter((wish) => tokensOf(wish) === tokens);
  if (own.length === 0) {
    const known = [...new Set(wishes.map(tokensOf))].join(', ');
    throw new UsageError(`gna/speed has no layout of ${tokens} tokens; --lengths may be ${known}.`);
  }
  return own.flatMap(({ layout, window }) => {
    const sliding = { window, stride: layout.map(() => 1), ...chooseTiles(layout, { window }) };
    return [...findPerfect(layout, { window, limit: 1 }), sliding].map((setting) => {
      const { keyTilesTotal, keyTilesVisitedMean, tileSpeedup, perfectlyBlockSparse } = simulate(layout, setting);
      return {
        ...{ layout, window: setting.window, stride: setting.stride },
        ...{ queryTile: setting.queryTile, keyTile: setting.keyTile },
        ...{ predicted: keyTilesTotal / keyTilesVisitedMean, bound: tileSpeedup, perfect: perfectlyBlockSparse },
      };
    });
  });
}
