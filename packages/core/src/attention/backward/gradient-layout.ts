import type { InputAccess } from '../elements.ts';
import { range } from '../text.ts';
import type { GradientVariant, GradientWalk } from './variant.ts';

/** Access to the four inputs. */
export type GradientInputs = Readonly<Record<'query' | 'key' | 'value' | 'gradient', InputAccess>>;

/**
 * How a kernel's work is laid over invocations. Where the rows stand and which pairs there are is the walk's; what becomes of
 * a pair is the same for every layout.
 */
export type GradientLayout = (
  variant: GradientVariant,
  walk: GradientWalk,
  inputs: GradientInputs,
) => {
  readonly declarations: string;
  /** Declares `own_lane`, the first of the invocation's own rows divided by their number. */
  readonly lanes: string;
  /** Behind the place of own rows, before the walk. */
  readonly prepare: string;
  /** The work of one tile of streamed rows. */
  readonly tile: string;
  readonly write: string;
};

/** Names of the gradients that a kernel sums: dQ; or dK and dV. */
export function gradientsOf({ own }: GradientVariant): readonly ('first' | 'second')[] {
  return own === 'keys' ? ['first', 'second'] : ['first'];
}

/** Declares `<gradient>_<row>_<cell>`, the sums of an invocation. */
export function totalsText(variant: GradientVariant, rows: number): string {
  return gradientsOf(variant)
    .flatMap((kind) =>
      range(rows).flatMap((row) => range(variant.cells).map((cell) => `var ${kind}_${row}_${cell} = vec4f();`)),
    )
    .join(' ');
}

/** Writes the sums of a row. `columns` invocations stand side by side along the head size, at `column_lane`. */
export function storeText(
  variant: GradientVariant,
  { row, exists, resultRow, columns }: { row: number; exists: string; resultRow: string; columns: number },
): string {
  const write = (kind: 'first' | 'second', cell: number) => {
    const value = `${kind}_${row}_${cell}${kind === 'first' ? ' * params.scale' : ''}`;
    const at = kind === 'first' ? 'at' : 'params.second_start + at';
    const elements = range(4).map((d) => {
      const line = `result[${at} + ${d}u] = value[${d}];`;
      return variant.raggedHeadSize === 0 ? line : `if (4u * quad + ${d}u < params.head_size) { ${line} }`;
    });
    return `{ let value = ${value}; ${elements.join(' ')} }`;
  };
  const cells = range(variant.cells).map(
    (cell) => `{
      let quad = ${cell * columns}u + column_lane;
      let at = (${resultRow}) * params.head_size + 4u * quad;
      if (quad < params.quads) { ${gradientsOf(variant)
        .map((kind) => write(kind, cell))
        .join(' ')} }
    }`,
  );
  return `if (${exists}) {
    ${cells.join('\n    ')}
  }`;
}
