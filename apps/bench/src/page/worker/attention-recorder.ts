import { type Gpu, type Method, mean, type Phase, type Tensor } from '@saccade/core';
import { attentionStatistics } from '@saccade/core/attention';
import type { AttentionStep } from '../protocol.ts';
import { whereOneQueryLooks } from './one-query.ts';

interface Recorded {
  readonly step: number;
  readonly layer: number;
  readonly row: Tensor;
}

/**
 * Records where one query looks in each layer and step: probabilities under whatever restrictions methods left to the engine,
 * the mean over heads (and over both branches of guidance). It stands behind the methods, where their changes arrive. Costs a second pass
 * over q k^T and a readback per step, so nothing is timed while it records.
 */
export class AttentionRecorder {
  readonly #phases: readonly Phase[];
  readonly #query: (queries: number) => number;
  readonly #kept: Recorded[] = [];
  readonly #seen = new Set<string>();
  #layers = 0;

  /** @param query which of a pass's queries is recorded */
  constructor(phases: readonly Phase[], query: (queries: number) => number) {
    this.#phases = phases;
    this.#query = query;
  }

  /** The method that watches; the last one of a run. */
  readonly method: Method = {
    name: 'attention-recorder',
    options: {},
    phases: ['prefill', 'decode', 'denoise'],
    needs: () => ({ logSumExp: true }),
    attend: (context, { q, keys, options }, next) => {
      const result = next();
      const { phase, layer, sequence, queryLength, keyLength, seen, step, gpu, model, endsPrompt } = context;
      this.#layers = model.layers;
      const wanted = this.#phases.includes(phase) && sequence === 0 && (phase !== 'prefill' || endsPrompt);
      const number = step?.index ?? seen;
      // Of two calls in a step, as methods make that add a remainder, the first is shown.
      const place = `${number}/${layer}`;
      if (!wanted || !result.logSumExp || this.#seen.has(place)) return result;
      this.#seen.add(place);
      const query = this.#query(queryLength);
      const rows = { queries: [query], keys: { start: 0, end: keyLength } };
      const { logSumExp } = result;
      const row = gpu.keep(
        gpu.tidy(() => {
          const { probabilityRows } = attentionStatistics(q, keys, {
            ...whereOneQueryLooks(gpu, options, query),
            logSumExp,
            want: { probabilityRows: rows },
          });
          return mean(probabilityRows, { axis: [0, 1, 2] });
        }),
      );
      this.#kept.push({ step: number, layer, row });
      return result;
    },
  };

  /** What was recorded since the last call, step by step. One readback. */
  async take(gpu: Gpu, label: (step: number) => string): Promise<AttentionStep[]> {
    const kept = this.#kept.splice(0);
    if (kept.length === 0) return [];
    const read = await gpu.read(kept.map(({ row }) => row));
    for (const { row } of kept) row.dispose();
    const steps = [...new Set(kept.map(({ step }) => step))].sort((a, b) => a - b);
    return steps.map((step) => {
      const layers = new Array<Float32Array<ArrayBuffer> | undefined>(this.#layers).fill(undefined);
      kept.forEach((entry, index) => {
        if (entry.step === step) layers[entry.layer] = new Float32Array(read[index] as Float32Array);
      });
      return { label: label(step), layers };
    });
  }

  /** Frees what was not taken. */
  dispose(): void {
    for (const { row } of this.#kept.splice(0)) row.dispose();
  }
}
