import { range } from './text.ts';

/**
 * Sums eight numbers of each invocation over a subgroup of eight: behind it, `<name>_0` of invocation i is the sum of all
 * `<name>_i`. Each step adds sums that stand `distance` apart, over invocations that far apart; each keeps the one that is its own.
 */
export function butterflySums(name: string): string {
  return [4, 2, 1]
    .flatMap((distance) =>
      range(distance).map((index) => {
        const low = `${name}_${index}`;
        const high = `${name}_${index + distance}`;
        const upper = `(subgroup_lane & ${distance}u) != 0u`;
        return `${low} = select(${low}, ${high}, ${upper}) + subgroupShuffleXor(select(${high}, ${low}, ${upper}), ${distance}u);`;
      }),
    )
    .join('\n      ');
}
