import { argsortReference } from './sort.ts';

/** Positions of the k largest of the first `length` numbers, largest first, equal ones by lower position; fewer if there are fewer. */
export function topKReference(values: ArrayLike<number>, k: number, length = values.length): Uint32Array {
  const candidates = Array.from({ length }, (_, position) => values[position] as number);
  return argsortReference(candidates, true).subarray(0, k);
}
