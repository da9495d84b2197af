/** Rows of `weight` [V, columns] by id; ids outside [0, V) give zeros. */
export function embeddingReference(weight: ArrayLike<number>, columns: number, ids: ArrayLike<number>): Float64Array {
  const out = new Float64Array(ids.length * columns);
  const vocabulary = weight.length / columns;
  for (let n = 0; n < ids.length; n++) {
    const id = ids[n] as number;
    if (id >= vocabulary) continue;
    for (let c = 0; c < columns; c++) out[n * columns + c] = weight[id * columns + c] as number;
  }
  return out;
}
