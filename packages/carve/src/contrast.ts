import { ArgumentError, ShapeError } from '@saccade/core';

/**
 * Attention for the question relative to attention for any text: task / (general + lambda), element by element. It minimises
 * sum of (x general - task)^2 + lambda x^2 general over x. In f64, since a small divisor makes a large ratio.
 *
 * @param task attention over the image's tokens [nv]; `general` as well
 * @param lambda Over 0. Default 1e-8.
 * @throws ShapeError, ArgumentError
 */
export function contrastAttention(task: ArrayLike<number>, general: ArrayLike<number>, lambda = 1e-8): Float64Array {
  if (task.length !== general.length)
    throw new ShapeError('contrastAttention', `${task.length} and ${general.length} tokens; both maps need the same.`);
  if (!(lambda > 0)) throw new ArgumentError('lambda', lambda, 'a number over 0');
  return Float64Array.from(task, (value, token) => value / ((general[token] as number) + lambda));
}
