import { type InputAccess, quadOfRow } from './elements.ts';

/** Rows of one input: how it is read, and where each row starts, as WGSL. */
export interface InputRows {
  readonly input: InputAccess;
  readonly at: readonly string[];
}

/**
 * Declares `<name>_<i>`: the dot product of each row on the left with each on the right, where i counts through the left ones,
 * then the right ones. Every quad is loaded once. The loop's bound is a parameter: unrolled, it compiles ten times longer.
 *
 * @param raggedHeadSize Head size where it is no multiple of four, else 0.
 */
export function dotProductText(
  name: string,
  raggedHeadSize: number,
  [left, right]: readonly [InputRows, InputRows],
): string {
  const quads = ({ input, at }: InputRows, side: string) =>
    at.map(
      (start, index) =>
        `let ${side}_quad_${index} = ${quadOfRow(input, raggedHeadSize, `${start} + 4u * quad`, 'quad')};`,
    );
  const pairs = left.at.flatMap((_, i) => right.at.map((_, j) => [i, j] as const));
  return `
      ${pairs.map((_, pair) => `var ${name}_${pair} = 0.0;`).join(' ')}
      for (var quad = 0u; quad < params.quads; quad++) {
        ${quads(left, 'left').join('\n        ')}
        ${quads(right, 'right').join('\n        ')}
        ${pairs.map(([i, j], pair) => `${name}_${pair} += dot(left_quad_${i}, right_quad_${j});`).join('\n        ')}
      }`;
}
