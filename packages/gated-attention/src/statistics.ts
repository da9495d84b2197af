import { ArgumentError, attention, attentionStatistics, mean, type Tensor } from '@saccade/core';
import type { GatedAttention, ObservedAttention } from './gated-attention.ts';

/** What the gate and the attention of a layer did in a forward pass. */
export interface LayerStatistics {
  /**
   * Share of its attention that a query gives to the first token: mean over rows, heads and queries, without the first query, which
   * sees nothing else.
   */
  readonly firstTokenMass: number;
  /** Mean of the activated gate; undefined where the layer has none. */
  readonly meanGate: number | undefined;
  /** Shares of the activated gate in [0, 0.1), [0.1, 0.2), ... [0.9, 1]; what lies outside counts to the ends. */
  readonly gateHistogram: readonly number[] | undefined;
}

/**
 * Measures layers in the forward pass that `work` makes. Masses come from a second pass over queries and the first key, so that no
 * probability matrix is stored; gates are read back whole.
 *
 * @param work makes one forward pass through all layers, of two tokens or more
 * @returns in the order of `layers`
 * @throws ArgumentError where a layer did not run
 */
export async function layerStatistics(
  layers: readonly GatedAttention[],
  work: () => unknown,
): Promise<LayerStatistics[]> {
  const masses = new Map<GatedAttention, Tensor>();
  const gates = new Map<GatedAttention, Tensor>();
  const observeAll = ([layer, ...rest]: readonly GatedAttention[]): void => {
    if (!layer) return void work();
    layer.observe(
      (seen) => {
        if ('gate' in seen) gates.set(layer, seen.gate.gpu.keep(seen.gate.alias()));
        else masses.set(layer, firstTokenMass(seen));
      },
      () => observeAll(rest),
    );
  };
  const kept = () => [...masses.values(), ...gates.values()];
  try {
    const [gpu] = layers.map((layer) => layer.q_proj.weight.tensor.gpu);
    gpu?.tidy(() => observeAll(layers));
    const read: LayerStatistics[] = [];
    for (const layer of layers) {
      const [mass, gate] = [masses.get(layer), gates.get(layer)];
      if (!mass) throw new ArgumentError('layerStatistics: work', 'no forward pass of a layer', 'one of each layer');
      const values = gate && ((await gate.read()) as Float32Array);
      read.push({
        firstTokenMass: (await mass.read())[0] as number,
        meanGate: values && values.reduce((sum, value) => sum + value, 0) / values.length,
        gateHistogram: values && histogram(values),
      });
    }
    return read;
  } finally {
    for (const tensor of kept()) tensor.dispose();
  }
}

/** f32 [], kept. */
function firstTokenMass({ queries: q, keys: k, where }: Extract<ObservedAttention, { queries: Tensor }>): Tensor {
  const { gpu } = q;
  const tokens = q.shape[2] as number;
  if (tokens < 2) throw new ArgumentError('layerStatistics: work', 'a pass of one token', 'two tokens or more');
  return gpu.keep(
    gpu.tidy(() => {
      const { logSumExp } = attention(q, k, k, { ...where, returnLogSumExp: true });
      const { probabilityRows } = attentionStatistics(q, k, {
        ...where,
        logSumExp: logSumExp as Tensor,
        want: {
          probabilityRows: {
            queries: Array.from({ length: tokens - 1 }, (_, at) => at + 1),
            keys: { start: 0, end: 1 },
          },
        },
      });
      return mean(probabilityRows);
    }),
  );
}

function histogram(values: Float32Array): number[] {
  const counts = new Array<number>(10).fill(0);
  for (const value of values) {
    const bin = Math.min(9, Math.max(0, Math.floor(value * 10)));
    counts[bin] = (counts[bin] as number) + 1;
  }
  return counts.map((count) => count / values.length);
}
