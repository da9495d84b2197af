import type { Gpu } from '../device/gpu.ts';
import type { Method } from '../protocol/method.ts';
import { attention, bareRun } from '../protocol/method-attention.ts';
import type { ModelFacts } from '../protocol/model-handle.ts';
import type { Tensor } from '../tensor/tensor.ts';

/** Shape of attention layers without a model. */
export interface DenoisingShape {
  readonly batches: number;
  readonly layers: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly length: number;
  readonly headSize: number;
}

/** Row-major q [B, H, N, D], k and v [B, Hkv, N, D] of one layer in one step. */
export type DenoisingInput = readonly [q: ArrayLike<number>, k: ArrayLike<number>, v: ArrayLike<number>];

export interface DenoisingStepsOptions {
  readonly steps: number;
  readonly promptTokens?: number;
  readonly facts?: Partial<ModelFacts>;
  /** Steps that are run, in this order. Default: all. */
  readonly indices?: readonly number[];
  readonly input: (step: number, layer: number) => DenoisingInput;
  /** Called behind each step, while its state lives. */
  readonly after?: (step: number) => Promise<void> | void;
}

/** Outputs [step][layer] of denoising steps under methods, [B, H, N, D] each. */
export async function runDenoisingSteps(
  gpu: Gpu,
  shape: DenoisingShape,
  method: Method | readonly Method[],
  options: DenoisingStepsOptions,
): Promise<Float32Array[][]> {
  const { batches, layers, heads, kvHeads, length, headSize } = shape;
  const { steps, promptTokens, facts, input, after } = options;
  const run = bareRun(gpu, method, { layers, heads, kvHeads, headSize, causal: false, ...facts });
  try {
    const outputs: Float32Array[][] = [];
    for (const index of options.indices ?? Array.from({ length: steps }, (_, step) => step)) {
      run.denoisingStep = { index, count: steps, stage: 0, promptTokens };
      const kept = gpu.tidy(() =>
        run.pass([{ cache: undefined, count: batches * length, batch: batches, start: 0 }], () =>
          Array.from({ length: layers }, (_, layer) => {
            const [q, k, v] = input(index, layer);
            const query = gpu.tensor(q, [batches, heads, length, headSize]);
            const rows = (data: ArrayLike<number>): Tensor => gpu.tensor(data, [batches, kvHeads, length, headSize]);
            return gpu.keep(attention(gpu, query, rows(k), rows(v), { run, layer, causal: false }).output.alias());
          }),
        ),
      );
      outputs.push((await gpu.read(kept)) as Float32Array[]);
      for (const tensor of kept) tensor.dispose();
      await after?.(index);
    }
    return outputs;
  } finally {
    run.dispose();
  }
}

/** Rows of a head of row-major [heads, N, D]. */
export function headRows(data: ArrayLike<number>, head: number, { length, headSize }: DenoisingShape): number[][] {
  return Array.from({ length }, (_, row) =>
    Array.from({ length: headSize }, (__, at) => data[(head * length + row) * headSize + at] as number),
  );
}
