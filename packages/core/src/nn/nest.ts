/** Runs `work` inside of `enter` of each item, the first outermost. */
export function nest<T, R>(items: readonly T[], enter: (item: T, inner: () => R) => R, work: () => R): R {
  const from = (index: number): R =>
    index === items.length ? work() : enter(items[index] as T, () => from(index + 1));
  return from(0);
}
