import { type Gpu, type ModelHandle, openGpu } from '@saccade/core';
import { executeOnModel, executePlan, loadModel } from '../../execute-plan.ts';
import { listing } from '../../listing.ts';
import type { ModelEntry } from '../../model-entry.ts';
import { planRun } from '../../plan.ts';
import type { Progress, RunReporter } from '../../progress/run-reporter.ts';
import { Registry } from '../../registry.ts';
import { adapterName } from '../../report/environment-facts.ts';
import type { Picture } from '../../result-file/types.ts';
import { sharedCatalog } from '../../shared-catalog.ts';
import type { CompareRequest, ModelChoice, Report, ScenarioRequest } from '../protocol.ts';
import { compare } from './compare.ts';
import { browserEnvironment } from './environment.ts';
import { describeModel, entryOf } from './models.ts';

/** A GPU, at most one model on it, and the jobs that the page asks for. */
export class Session {
  readonly #registry = new Registry(sharedCatalog);
  readonly #report: (report: Report) => void;
  #gpu: Gpu | undefined;
  #model: { readonly entry: ModelEntry; readonly handle: ModelHandle } | undefined;

  constructor(report: (report: Report) => void) {
    this.#report = report;
  }

  /** Tells what can be run, which is known without a GPU, then opens one. @throws AdapterNotFoundError */
  async open(): Promise<void> {
    this.#report({ type: 'listing', listing: listing(this.#registry) });
    const gpu = await openGpu();
    this.#gpu = gpu;
    void gpu.device.lost.then(() => this.#report({ type: 'lost' }));
    const environment = browserEnvironment(gpu);
    this.#report({ type: 'opened', environment, adapter: environment.adapter ? adapterName(environment.adapter) : '' });
  }

  /** Loads a model in place of the present one. */
  async load(choice: ModelChoice, signal: AbortSignal): Promise<void> {
    const entry = choice.kind === 'listed' ? this.#registry.model(choice.name) : entryOf(choice);
    this.#model?.handle.dispose();
    this.#model = undefined;
    const gpu = this.#opened();
    const handle = await loadModel(entry, { gpu, signal, reporter: this.#reporter() });
    this.#model = { entry, handle };
    this.#report({ type: 'loaded', model: describeModel(entry, handle) });
  }

  async compare(request: CompareRequest, signal: AbortSignal): Promise<void> {
    if (!this.#model) throw new Error('No model is loaded.');
    const { entry, handle } = this.#model;
    await compare(handle, entry.name, this.#registry, { request, signal, report: this.#report });
  }

  /** Runs a scenario as `run --quick` does, on the loaded model where it needs one. */
  async scenario(request: ScenarioRequest, signal: AbortSignal): Promise<void> {
    const gpu = this.#opened();
    const { scenario, methods, seed, lengths, repeats } = request;
    const { needs } = this.#registry.scenario(scenario);
    const model = needs === 'none' ? undefined : this.#model;
    if (needs !== 'none' && !model) throw new Error('No model is loaded.');
    const registry = new Registry({ ...sharedCatalog, models: model ? [model.entry] : [] });
    const plan = planRun(registry, {
      scenarios: [scenario],
      models: model ? [model.entry.name] : [],
      methods: methods.map(({ name, options }) => (options === '' ? name : `${name}:${options}`)),
      budgets: budgetsOf(methods, registry.scenario(scenario).budgets.quick),
      seed,
      quick: true,
      ...(lengths.length > 0 ? { lengths } : {}),
      ...(repeats === undefined ? {} : { repeats }),
    });
    const onPicture = (picture: Picture) => this.#report({ type: 'picture', picture });
    const options = { gpu, signal, reporter: this.#reporter(), onPicture };
    const rows = model ? executeOnModel(plan, model.handle, options) : executePlan(plan, options);
    for await (const row of rows) this.#report({ type: 'row', side: undefined, row });
  }

  #opened(): Gpu {
    if (!this.#gpu) throw new Error('No GPU is open.');
    return this.#gpu;
  }

  #reporter(): RunReporter {
    return {
      log: () => undefined,
      start: (title): Progress => {
        let total = 0;
        let done = 0;
        const tell = (label: string) =>
          this.#report({ type: 'progress', label, share: total === 0 ? undefined : Math.min(1, done / total) });
        tell(title);
        return {
          total(steps) {
            total = steps;
          },
          advance(steps = 1, label = '') {
            done += steps;
            tell(label === '' ? title : `${title}: ${label}`);
          },
          finish() {},
        };
      },
    };
  }
}

/** The budgets of the chosen methods, each once; the scenario's own where none has one. */
function budgetsOf(methods: ScenarioRequest['methods'], own: readonly number[]): readonly number[] {
  const asked = [...new Set(methods.map(({ budget }) => budget))].sort((a, b) => a - b);
  return asked.length > 0 ? asked : own;
}
