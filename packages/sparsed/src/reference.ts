/** SparseD in plain f64 loops: the definition that the GPU path is compared with. */
import { blockBudgets, splitBlocks } from './block-budgets.ts';
import type { ResolvedSparseDOptions } from './options.ts';

type Rows = readonly (readonly number[])[];

/** Softmax of scale q k over the keys that are seen, [N][N]; others have 0. */
export function probabilities(
  q: Rows,
  k: Rows,
  scale: number,
  sees: (query: number, key: number) => boolean,
): number[][] {
  return q.map((row, query) => {
    const scores = k.map((key, index) =>
      sees(query, index) ? scale * key.reduce((sum, value, at) => sum + value * (row[at] as number), 0) : -Infinity,
    );
    const maximum = Math.max(...scores);
    const weights = scores.map((score) => (score === -Infinity ? 0 : Math.exp(score - maximum)));
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    return weights.map((weight) => (total === 0 ? 0 : weight / total));
  });
}

/** Means over blocks of size x size, missing rows and columns counting as zeros: [n][n]. */
function blockMeans(matrix: Rows, size: number): number[][] {
  const blocks = Math.ceil(matrix.length / size);
  const means = Array.from({ length: blocks }, () => new Array<number>(blocks).fill(0));
  matrix.forEach((row, query) => {
    row.forEach((value, key) => {
      (means[Math.floor(query / size)] as number[])[Math.floor(key / size)]! += value / size ** 2;
    });
  });
  return means;
}

/**
 * The pattern of one head.
 *
 * @param q [N][D]
 * @param k [N][D]
 * @returns [n][n]: whether a row of query blocks keeps a block of keys
 */
export function selectBlocksReference(
  q: Rows,
  k: Rows,
  options: Pick<ResolvedSparseDOptions, 'blockSize' | 'select' | 'isolated' | 'selection'> & {
    readonly promptLength: number;
    readonly scale?: number;
  },
): boolean[][] {
  const { blockSize, promptLength, scale = 1 / Math.sqrt(q[0]?.length ?? 1) } = options;
  const split = splitBlocks(q.length, promptLength, blockSize);
  const from = split.firstGenerated * blockSize;
  const importance = {
    all: blockMeans(
      probabilities(q, k, scale, () => true),
      blockSize,
    ),
    generated: blockMeans(
      probabilities(q, k, scale, (_, key) => key >= from),
      blockSize,
    ),
  };
  const budgets = blockBudgets(split, options);
  return importance.all.map((_, row) => {
    const kept = new Array<boolean>(split.blocks).fill(false);
    for (const { softmaxOver, k: count, among, keep } of budgets) {
      const scores = importance[softmaxOver][row] as number[];
      const ranked = scores.map((score, block) => ({ score, block })).slice(among.start, among.end);
      ranked.sort((a, b) => b.score - a.score || a.block - b.block);
      for (const { block } of ranked.slice(0, count)) if (block >= keep.start && block < keep.end) kept[block] = true;
    }
    return kept;
  });
}

/** Attention of one head over the blocks of a pattern, [N][Dv]. */
export function blockSparseReference(
  q: Rows,
  k: Rows,
  v: Rows,
  pattern: readonly (readonly boolean[])[],
  blockSize: number,
): number[][] {
  const sees = (query: number, key: number) =>
    pattern[Math.floor(query / blockSize)]?.[Math.floor(key / blockSize)] ?? false;
  return probabilities(q, k, 1 / Math.sqrt(q[0]?.length ?? 1), sees).map((weights) =>
    (v[0] ?? []).map((_, at) => weights.reduce((sum, weight, key) => sum + weight * (v[key]?.[at] ?? 0), 0)),
  );
}
