import { type Gpu, type ModelHandle, RefusedError, SaccadeError } from '@saccade/core';
import { type MethodRequest, variantsOf } from './method-request.ts';
import type { Picture, ResultRow } from './result-file/types.ts';
import { plausibleShare } from './roofline/peaks.ts';
import type { Measured, Scenario, ScenarioContext, ScenarioProgress, Variant } from './scenario.ts';

/** Settings of one run of one scenario. */
export interface ScenarioRun {
  readonly scenario: Scenario;
  /** Name and handle of the model; absent where the scenario needs none. */
  readonly model?: { readonly name: string; readonly handle: ModelHandle };
  readonly gpu: Gpu;
  /** The dense run need not be among them. */
  readonly methods: readonly MethodRequest[];
  readonly dense: MethodRequest;
  readonly lengths: readonly number[];
  readonly budgets: readonly number[];
  readonly seed: number;
  readonly repeats: number;
  readonly quick: boolean;
  readonly signal: AbortSignal;
  readonly progress: ScenarioProgress;
  readonly onPicture?: (picture: Picture) => void;
}

/**
 * Yields the rows of one scenario. If the scenario itself breaks (not one of its measurements), the rows so far stay
 * and one more says why.
 */
export async function* runScenario(run: ScenarioRun): AsyncGenerator<ResultRow> {
  const { scenario } = run;
  const dense = variantsOf(run.dense, run.budgets, run.lengths[0] ?? 1)[0] as Variant;
  try {
    yield* scenario.run(scenarioContext(run));
  } catch (error) {
    if (run.signal.aborted) throw error;
    yield failedRow(run, dense, {}, error);
  }
}

function scenarioContext(run: ScenarioRun): ScenarioContext {
  const { gpu, lengths, budgets, seed, repeats, quick, signal, progress } = run;
  return {
    gpu,
    lengths,
    budgets,
    seed,
    repeats,
    quick,
    signal,
    progress,
    get model(): ModelHandle {
      if (run.model === undefined) throw new SaccadeError('no-model', `${run.scenario.name} runs without a model.`);
      return run.model.handle;
    },
    variants(contextLength, grid) {
      const others = run.methods.filter((request) => request.entry.name !== 'dense');
      return [run.dense, ...others].flatMap((request) => variantsOf(request, run.budgets, contextLength, grid));
    },
    async measure(variant, extra, measurement) {
      signal.throwIfAborted();
      try {
        return { ...identity(run, variant, extra), ...(await completed(await measurement())) };
      } catch (error) {
        if (signal.aborted) throw error;
        return failedRow(run, variant, extra, error);
      }
    },
    picture: (picture) => run.onPicture?.({ scenario: run.scenario.name, model: run.model?.name ?? null, ...picture }),
  };
}

/** What tells one row of a run from another. */
export type Identity = 'scenario' | 'model' | 'method' | 'options' | 'baseline' | 'seed' | 'budget';

function identity(
  run: ScenarioRun,
  variant: Variant,
  extra: Readonly<Record<string, unknown>>,
): Pick<ResultRow, Identity> {
  return {
    scenario: run.scenario.name,
    model: run.model?.name ?? null,
    method: variant.entry.name,
    options: { ...variant.options, ...extra },
    baseline: variant.entry.name === 'dense' ? null : 'dense',
    seed: run.seed,
    budget: variant.budget,
  };
}

/** @throws RooflineError where the row claims more of a peak than there is, twice */
async function completed({ peak, speed, ...measured }: Measured): Promise<Omit<ResultRow, Identity>> {
  return {
    ...measured,
    speed: peak ? { ...speed, shareOfPeak: await plausibleShare(peak) } : speed,
    status: measured.status ?? 'ok',
  };
}

function failedRow(
  run: ScenarioRun,
  variant: Variant,
  extra: Readonly<Record<string, unknown>>,
  error: unknown,
): ResultRow {
  return { ...identity(run, variant, extra), ...failedMeasurement(error) };
}

/** What a row says of a measurement that was refused or broke. */
export function failedMeasurement(error: unknown): Omit<ResultRow, Identity> {
  return {
    samples: 0,
    density: null,
    status: RefusedError.isInstance(error) ? 'refused' : 'failed',
    message: error instanceof Error ? error.message : String(error),
    quality: {},
    speed: {},
    memory: {},
  };
}
