import { LOWEST } from '../kernels/wgsl.ts';
import type { Layout, RowState, ScoreSlot, TileLoopVariant } from './layout.ts';
import { isWritten, resultRow } from './order.ts';
import { loadRow, pairArguments, type QueryNames, visible } from './positions.ts';
import { multiplierAt } from './trust.ts';

/** Turns a raw dot product, `slot.score`, into a score. */
export function modifiedScore(variant: Pick<TileLoopVariant, 'scored'>, slot: ScoreSlot, own: QueryNames): string {
  const scaled = `${slot.score} * params.scale`;
  return variant.scored ? `modified_score(${scaled}, ${pairArguments(slot, own)})` : scaled;
}

/** Declares maximum and sum of a row: empty, or with its sink, which the first part of the keys takes in. */
export function softmaxState(variant: TileLoopVariant, { suffix, query, head }: RowState, layout: Layout): string {
  const rowMaximum = tracksRowMaximum(variant, layout) ? `\n  var row_maximum${suffix} = maximum${suffix};` : '';
  if (!variant.sinks) {
    return `
  var maximum${suffix} = 0.5 * ${LOWEST};
  var sum${suffix} = 0.0;${rowMaximum}`;
  }
  return `
  let has_sink${suffix} = part == 0u && ${query} < query_length;
  var maximum${suffix} = select(0.5 * ${LOWEST}, load_sinks(${head}), has_sink${suffix});
  var sum${suffix} = select(0.0, 1.0, has_sink${suffix} && ${layout.leads});${rowMaximum}`;
}

/**
 * Most that a score may exceed the maximum that weights are relative to, where raising it is dear. The exponential of a larger number is less exact, in
 * the very weights that count most; of a smaller one, maxima would be raised more often.
 */
const margin = 2;

/** Whether the largest score of a row is another number than the one that weights are relative to. */
function tracksRowMaximum({ statistics }: TileLoopVariant, { rescale }: Layout): boolean {
  return statistics && rescale !== undefined;
}

/**
 * New maxima, and accumulators that are relative to them. Any number near the maximum serves: where a layout rescales seldom, one
 * that a tile exceeds by less than the margin stays, and nothing is rescaled.
 */
function raisedMaxima(variant: TileLoopVariant, layout: Layout): string {
  const { rows, rescale } = layout;
  if (rescale === undefined) {
    return rows
      .map(
        ({ suffix }) => `let new_maximum${suffix} = max(maximum${suffix}, tile_maximum${suffix});
    let correction${suffix} = exp(maximum${suffix} - new_maximum${suffix});
    maximum${suffix} = new_maximum${suffix};
    sum${suffix} *= correction${suffix};`,
      )
      .join('\n    ');
  }
  const maxima = tracksRowMaximum(variant, layout)
    ? rows.map(({ suffix }) => `row_maximum${suffix} = max(row_maximum${suffix}, tile_maximum${suffix});`).join(' ')
    : '';
  // A row is left alone by what its neighbours need, so that its bits do not depend on them.
  return `${maxima}
    ${rows.map(({ suffix }) => `let raised${suffix} = tile_maximum${suffix} > maximum${suffix} + ${margin}.0;`).join(' ')}
    if (subgroupAny(${rows.map(({ suffix }) => `raised${suffix}`).join(' || ')})) {
      ${rows
        .map(
          ({ suffix }) => `let new_maximum${suffix} = select(maximum${suffix}, tile_maximum${suffix}, raised${suffix});
      let correction${suffix} = select(1.0, exp(maximum${suffix} - new_maximum${suffix}), raised${suffix});
      maximum${suffix} = new_maximum${suffix};
      sum${suffix} *= correction${suffix};`,
        )
        .join('\n      ')}
      ${rescale}
    }`;
}

/**
 * The online softmax over one tile (FlashAttention-2, arXiv 2307.08691, algorithm 1). Maxima start at half the mask
 * sentinel: a masked score minus such a maximum is so low that its weight is exactly zero, without a branch.
 */
export function onlineSoftmax(variant: TileLoopVariant, layout: Layout): string {
  const { rows, reduceMaximum } = layout;
  const masked = rows.map(({ suffix, slots, query, head }) =>
    slots
      .map((slot) => {
        const own = { query, head, suffix };
        const seen = visible(variant, slot, own);
        return `${slot.score} = select(${LOWEST}, ${modifiedScore(variant, slot, own)}, ${seen});`;
      })
      .join('\n    '),
  );
  const tileMaxima = rows.map(({ suffix, slots }) => {
    const most = slots.reduce((expression, { score }) => (expression ? `max(${expression}, ${score})` : score), '');
    return `var tile_maximum${suffix} = ${most};`;
  });
  const weights = rows.map(({ suffix, head, slots }) => {
    const multiplied = (when: 'before' | 'after') =>
      variant.multipliers === when
        ? slots.map(({ score, row }) => `${score} *= ${multiplierAt(head, loadRow(variant, row))};`)
        : [];
    return [
      ...slots.map(({ score }) => `${score} = exp(${score} - maximum${suffix});`),
      ...multiplied('before'),
      `sum${suffix} += ${slots.map(({ score }) => score).join(' + ')};`,
      ...multiplied('after'),
    ].join('\n    ');
  });
  return [...masked, ...tileMaxima, reduceMaximum, raisedMaxima(variant, layout), ...weights].join('\n    ');
}

/** Factor that turns a row's accumulated values into its output. A given normaliser leaves the sum out of it. */
function inverse({ normalizer }: TileLoopVariant, suffix: string, row: string): string {
  if (!normalizer) return `select(0.0, 1.0 / sum${suffix}, sum${suffix} > 0.0)`;
  // Bounded, so that a normaliser far below the scores does not overflow; the sentinel means a row that sees nothing.
  const factor = `exp(min(maximum${suffix} - load_normalizer(${row}), 88.0))`;
  return `select(0.0, ${factor}, load_normalizer(${row}) > 0.5 * ${LOWEST})`;
}

/** Normalised output, log-sum-exp and maximum of each row, at its place in part `part` of the result. */
export function epilogue(variant: TileLoopVariant, layout: Layout): string {
  const { rows, write, leads } = layout;
  const rowMaximum = tracksRowMaximum(variant, layout) ? 'row_maximum' : 'maximum';
  const places = rows.map(({ suffix, query, head }) => {
    const own = resultRow(variant, query);
    return `
  let row_index${suffix} = ((part * params.batches + batch) * ${own.rows} + ${own.row}) * params.heads + ${head};
  let output_row${suffix} = ${own.orNowhere(`row_index${suffix} * ${variant.headSize}u`)};
  let inverse${suffix} = ${inverse(variant, suffix, `(batch * params.heads + ${head}) * params.queries + ${query}`)};`;
  });
  const statistics = rows.map(({ suffix, query, head, exists }) => {
    const own = resultRow(variant, query);
    return `
  if (${leads} && ${isWritten(variant, exists, `output_row${suffix}`)}) {
    let at = ((part * params.batches + batch) * params.heads + ${head}) * ${own.rows} + ${own.row};
    let seen = sum${suffix} > 0.0;
    output[params.log_sum_exp_start + at] = select(${LOWEST}, maximum${suffix} + log(max(sum${suffix}, 1e-37)), seen);
    output[params.row_maximum_start + at] = select(${LOWEST}, ${rowMaximum}${suffix}, seen);
  }`;
  });
  return [...places, write, ...(variant.statistics ? statistics : [])].join('');
}
