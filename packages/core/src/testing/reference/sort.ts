/** The stable order of numbers: positions of the elements, smallest (or largest) first, equal ones in their old order. */
export function argsortReference(values: ArrayLike<number>, descending = false): Uint32Array {
  const sign = descending ? -1 : 1;
  const order = Uint32Array.from({ length: values.length }, (_, position) => position);
  return order.sort((a, b) => sign * ((values[a] as number) - (values[b] as number)) || a - b);
}
