import { LOWEST } from '../../kernels/wgsl.ts';
import { modifiedScore } from '../online-softmax.ts';
import { loadRow, pairArguments, visible } from '../positions.ts';
import { multiplierAt } from '../trust.ts';
import type { GradientVariant, GradientWalk } from './variant.ts';

/**
 * Turns `score_<p>`, the raw score of own row `i` and streamed row `j`, and `weight_gradient_<p>`, the gradient dP of its probability,
 * into the pair's probability `weight_<p>`, recomputed from the log-sum-exp as P = exp(S - L), and the gradient of its score
 * `score_gradient_<p>`, dS = P (dP - D). Masked pairs are zero by selection, whatever their rows hold.
 */
export function pairText(variant: GradientVariant, walk: GradientWalk, i: number, j: number, p: number): string {
  const { query, key, row } = walk.pair(i, j);
  const lines = [`let sees_${p} = ${visible(variant, key, query)};`];
  let value = `modified_${p}.x`;
  if (variant.sloped) {
    lines.push(`let modified_${p} = score_and_slope(score_${p} * params.scale, ${pairArguments(key, query)});`);
  } else value = modifiedScore(variant, { ...key, score: `score_${p}` }, query);
  lines.push(`let probability_${p} = exp(select(${LOWEST}, ${value} - log_sum_exp${row}, sees_${p}));`);
  const factor = variant.multipliers === 'none' ? '' : ` * ${multiplierAt(query.head, loadRow(variant, key.row))}`;
  // Factors behind the normalisation weigh values, not the row's sum.
  const share = variant.multipliers === 'before' ? `weight_${p}` : `probability_${p}`;
  const slope = variant.sloped ? ` * modified_${p}.y` : '';
  lines.push(
    `let weight_${p} = probability_${p}${factor};`,
    `let gradient_${p} = (weight_${p} * weight_gradient_${p} - ${share} * row_sum${row})${slope};`,
    `let score_gradient_${p} = select(0.0, gradient_${p}, sees_${p});`,
  );
  return lines.join('\n    ');
}
