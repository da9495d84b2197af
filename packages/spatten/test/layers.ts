import { attention, bareRun, type Gpu, type Method, type Phase, type Tensor } from '@saccade/core';
import { seededRandom } from '@saccade/core/testing';
import type { ReferenceLayer } from '../src/reference.ts';

/** Shape of a stack of attention layers without a model. */
export interface StackShape {
  readonly layers: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headSize: number;
}

/** One pass over a stack: queries of the newest tokens, keys and values of all. */
export interface StackPass {
  readonly phase: Phase;
  readonly layers: readonly ReferenceLayer[];
}

/** Random layers; queries are large, so that attention is uneven. */
export function randomPass(shape: StackShape, queries: number, keys: number, phase: Phase, seed = 1): StackPass {
  const { heads, kvHeads, headSize } = shape;
  const rows = (count: number, random: () => number) =>
    Array.from({ length: count }, () => Array.from({ length: headSize }, () => 2 * random() - 1));
  return {
    phase,
    layers: Array.from({ length: shape.layers }, (_, layer) => {
      const perHead = (kind: number, count: number, of: number) =>
        Array.from({ length: of }, (__, head) =>
          rows(count, seededRandom(seed * 1000 + layer * 100 + kind * 30 + head)),
        );
      const scaled = perHead(0, queries, heads).map((head) => head.map((row) => row.map((value) => 4 * value)));
      return { q: scaled, keys: perHead(1, keys, kvHeads), values: perHead(2, keys, kvHeads) };
    }),
  };
}

/** Outputs [head][query][element] of each layer of each pass, under methods that stay for all passes. */
export async function runStack(
  gpu: Gpu,
  shape: StackShape,
  method: Method | readonly Method[],
  passes: readonly StackPass[],
): Promise<number[][][][][]> {
  const run = bareRun(gpu, method, shape);
  try {
    const outputs: number[][][][][] = [];
    for (const { phase, layers } of passes) {
      run.phase = phase;
      const count = layers[0]?.q[0]?.length as number;
      const keys = layers[0]?.keys[0]?.length as number;
      const kept = gpu.tidy(() =>
        run.pass([{ cache: undefined, count, start: keys - count }], () =>
          layers.map((layer, index) => {
            const [q, k, v] = [layer.q, layer.keys, layer.values].map((rows) => tensorOf(gpu, rows)) as [
              Tensor,
              Tensor,
              Tensor,
            ];
            const result = attention(gpu, q, k, v, { run, layer: index, causal: true });
            return gpu.keep(result.output.alias());
          }),
        ),
      );
      const data = (await gpu.read(kept)) as Float32Array[];
      for (const tensor of kept) tensor.dispose();
      outputs.push(data.map((values) => unflatten(values, shape.heads, count, shape.headSize)));
    }
    return outputs;
  } finally {
    run.dispose();
  }
}

/** [1, heads, rows, size] */
function tensorOf(gpu: Gpu, rows: readonly (readonly (readonly number[])[])[]): Tensor {
  const shape = [1, rows.length, rows[0]?.length as number, rows[0]?.[0]?.length as number];
  return gpu.tensor(rows.flat(2), shape);
}

function unflatten(values: Float32Array, heads: number, queries: number, size: number): number[][][] {
  return Array.from({ length: heads }, (_, head) =>
    Array.from({ length: queries }, (__, query) => {
      const at = (head * queries + query) * size;
      return [...values.subarray(at, at + size)];
    }),
  );
}
