import type { Gpu, ModelHandle } from '@saccade/core';
import type { ModelEntry } from './model-entry.ts';
import type { PlannedScenario, RunPlan } from './plan.ts';
import type { RunReporter } from './progress/run-reporter.ts';
import type { Picture, ResultRow } from './result-file/types.ts';
import { runScenario } from './run-scenario.ts';

/** What a run needs from its surroundings. */
export interface ExecuteOptions {
  readonly gpu: Gpu;
  readonly signal: AbortSignal;
  /** Where progress and notes go. */
  readonly reporter: RunReporter;
  /** Takes the pictures that scenarios make. */
  readonly onPicture?: (picture: Picture) => void;
}

/**
 * Runs a plan and yields each row as it is made. Each model is loaded once and disposed before the next. A model that
 * cannot be loaded gives a failed dense row per scenario, and the others go on.
 */
export async function* executePlan(plan: RunPlan, options: ExecuteOptions): AsyncGenerator<ResultRow> {
  yield* runItems(
    plan,
    plan.items.filter((item) => item.model === undefined),
    undefined,
    options,
  );
  const models = new Set(plan.items.flatMap((item) => item.model ?? []));
  for (const model of models) {
    const items = plan.items.filter((item) => item.model === model);
    let handle: ModelHandle;
    try {
      handle = await loadModel(model, options);
    } catch (error) {
      if (options.signal.aborted) throw error;
      for (const item of items) yield unavailableRow(plan, item, model, error);
      continue;
    }
    try {
      yield* runItems(plan, items, handle, options);
    } finally {
      handle.dispose();
    }
  }
}

/** Loads a model with a progress bar. Rejects with whatever the loader throws. */
export async function loadModel(model: ModelEntry, { gpu, signal, reporter }: ExecuteOptions): Promise<ModelHandle> {
  const progress = reporter.start(`Loading ${model.title}`);
  progress.total(100);
  let done = 0;
  try {
    return await model.load(gpu, {
      signal,
      log: (line) => reporter.log(line),
      onProgress: (share) => {
        const percent = Math.floor(share * 100);
        if (percent > done) progress.advance(percent - done);
        done = Math.max(done, percent);
      },
    });
  } finally {
    progress.finish();
  }
}

/** Runs all of a plan's scenarios on a model that is loaded already; the caller disposes it. */
export async function* executeOnModel(
  plan: RunPlan,
  handle: ModelHandle,
  options: ExecuteOptions,
): AsyncGenerator<ResultRow> {
  yield* runItems(plan, plan.items, handle, options);
}

async function* runItems(
  plan: RunPlan,
  items: readonly PlannedScenario[],
  handle: ModelHandle | undefined,
  { gpu, signal, reporter, onPicture }: ExecuteOptions,
): AsyncGenerator<ResultRow> {
  for (const item of items) {
    const progress = reporter.start(item.scenario.name);
    try {
      yield* runScenario({
        scenario: item.scenario,
        ...(item.model === undefined || handle === undefined ? {} : { model: { name: item.model.name, handle } }),
        gpu,
        methods: item.methods,
        dense: plan.dense,
        lengths: item.lengths,
        budgets: item.budgets,
        seed: plan.seed,
        repeats: item.repeats,
        quick: plan.quick,
        signal,
        progress,
        ...(onPicture ? { onPicture } : {}),
      });
    } finally {
      progress.finish();
    }
  }
}

function unavailableRow(plan: RunPlan, item: PlannedScenario, model: ModelEntry, error: unknown): ResultRow {
  return {
    scenario: item.scenario.name,
    model: model.name,
    method: 'dense',
    options: {},
    baseline: null,
    seed: plan.seed,
    samples: 0,
    budget: null,
    density: null,
    status: 'failed',
    message: `The model could not be loaded: ${error instanceof Error ? error.message : String(error)}`,
    quality: {},
    speed: {},
    memory: {},
  };
}
