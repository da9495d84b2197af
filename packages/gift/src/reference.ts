/** GIFT in plain f64 loops: the definition that the GPU path is compared with. */

type Rows = readonly (readonly number[])[];

const sum = (values: readonly number[]) => values.reduce((total, x) => total + x, 0);

/** Numbers of the largest values, a share of them rounded down. */
function largest(values: readonly number[], fraction: number): Set<number> {
  const order = values.map((_, index) => index).sort((a, b) => (values[b] as number) - (values[a] as number) || a - b);
  return new Set(order.slice(0, Math.max(1, Math.floor(values.length * fraction))));
}

/**
 * What image tokens gain over the rows of a question.
 *
 * @param attention [H][R][T], the first row that before the question
 * @param rows rows that count, each at least 1
 */
export function gazeShiftReference(
  attention: readonly Rows[],
  rows: readonly number[],
  headFraction: number,
): number[] {
  const shifts = attention.map((head) =>
    (head[0] as readonly number[]).map((_, token) =>
      sum(rows.map((row) => Math.max((head[row]?.[token] as number) - (head[row - 1]?.[token] as number), 0))),
    ),
  );
  const kept = largest(shifts.map(sum), headFraction);
  return (shifts[0] as number[]).map(
    (_, token) => sum([...kept].map((head) => shifts[head]?.[token] as number)) / (kept.size * rows.length),
  );
}

/** Factors on image tokens. */
export function multipliersReference(saliency: readonly number[], alpha: number, clipSigma: number): number[] {
  if (saliency.every((x) => x === saliency[0])) return saliency.map(() => 1);
  const mean = sum(saliency) / saliency.length;
  const deviation = Math.sqrt(sum(saliency.map((x) => (x - mean) ** 2)) / (saliency.length - 1));
  const clipped = saliency.map((x) =>
    Math.min(Math.max(x, mean - clipSigma * deviation), mean + clipSigma * deviation),
  );
  const [low, high] = [Math.min(...clipped), Math.max(...clipped)];
  return clipped.map((x) => Math.exp((alpha * (x - low)) / (high - low)));
}

/**
 * Changed rows of all heads, and the ratio by which the image gained in those that look at it.
 *
 * @param rows [H][M]
 * @param image positions of image tokens; `question` those of the question
 */
export function enhanceReference(
  rows: Rows,
  image: readonly number[],
  question: readonly number[],
  multipliers: readonly number[],
  { beta, headFraction }: { readonly beta: number; readonly headFraction: number },
): { rows: number[][]; ratio: number } {
  const massOf = (row: readonly number[], keys: readonly number[]) => sum(keys.map((key) => row[key] as number));
  const seeing = largest(
    rows.map((row) => massOf(row, image)),
    headFraction,
  );
  const asking = largest(
    rows.map((row) => massOf(row, question)),
    headFraction,
  );
  const changed = rows.map((row) => [...row]);
  for (const head of seeing) {
    for (const [index, key] of image.entries())
      (changed[head] as number[])[key] = (rows[head]?.[key] as number) * (multipliers[index] as number);
  }
  const total = (of: Rows) => sum([...seeing].map((head) => massOf(of[head] as readonly number[], image)));
  const ratio = total(rows) > 0 ? total(changed) / total(rows) : 1;
  for (const head of asking) {
    for (const key of question) (changed[head] as number[])[key] = (rows[head]?.[key] as number) * beta * ratio;
  }
  return { rows: changed.map((row) => row.map((x) => x / sum(row))), ratio };
}
