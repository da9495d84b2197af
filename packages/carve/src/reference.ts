/** CARVE's map and regions in plain f64 loops, as the paper writes them: the definition that the package's functions are compared with. */

/** Every map enlarged by itself, then summed. Maps are [T][Ls][rows * columns]. */
export function fuseReference(
  maps: readonly (readonly (readonly number[])[])[],
  [rows, columns]: readonly [number, number],
  [height, width]: readonly [number, number],
): number[] {
  const value = (map: readonly number[], y: number, x: number) => {
    // A tent around each cell's centre, its weight at the border's cells prolonged.
    const place = (pixel: number, pixels: number, cells: number) =>
      Math.min(Math.max(((pixel + 0.5) / pixels) * cells - 0.5, 0), cells - 1);
    const [py, px] = [place(y, height, rows), place(x, width, columns)];
    return map.reduce((sum, cell, index) => {
      const [row, column] = [Math.floor(index / columns), index % columns];
      return sum + cell * Math.max(0, 1 - Math.abs(py - row)) * Math.max(0, 1 - Math.abs(px - column));
    }, 0);
  };
  return Array.from({ length: height * width }, (_, pixel) =>
    maps.reduce(
      (sum, layers, step) =>
        layers.reduce((inner, map) => inner + (step + 1) * value(map, Math.floor(pixel / width), pixel % width), sum),
      0,
    ),
  );
}

/** Smallest pixel of each pixel's region, or -1, by handing labels on until nothing changes. */
export function regionLabels(open: readonly boolean[], width: number): number[] {
  const labels = open.map((isOpen, pixel) => (isOpen ? pixel : -1));
  for (let changed = true; changed; ) {
    changed = false;
    labels.forEach((label, pixel) => {
      if (label < 0) return;
      const sides = [pixel - width, pixel + width];
      if (pixel % width > 0) sides.push(pixel - 1);
      if (pixel % width < width - 1) sides.push(pixel + 1);
      const least = Math.min(label, ...sides.map((side) => labels[side] ?? -1).filter((other) => other >= 0));
      if (least === label) return;
      labels[pixel] = least;
      changed = true;
    });
  }
  return labels;
}

/** One row of attention over all keys, as a mean over heads. q is [H][D], k [Hkv][M][D]. */
export function attentionRow(
  q: readonly (readonly number[])[],
  k: readonly (readonly (readonly number[])[])[],
): number[] {
  const rows = q.map((query, head) => {
    const keys = k[Math.floor((head * k.length) / q.length)] ?? [];
    const scores = keys.map(
      (key) => key.reduce((sum, x, d) => sum + x * (query[d] as number), 0) / Math.sqrt(query.length),
    );
    const largest = Math.max(...scores);
    const weights = scores.map((score) => Math.exp(score - largest));
    const sum = weights.reduce((total, weight) => total + weight, 0);
    return weights.map((weight) => weight / sum);
  });
  return (rows[0] ?? []).map((_, key) => rows.reduce((sum, row) => sum + (row[key] as number), 0) / rows.length);
}
