import { OptionError } from '@saccade/core';
import { type MethodRequest, methodRequest, variantsOf } from './method-request.ts';
import type { ModelEntry } from './model-entry.ts';
import type { Registry } from './registry.ts';
import type { FullAndQuick, Scenario } from './scenario.ts';
import { UsageError } from './usage-error.ts';

/** What the user asks `run` for; absent lists mean the scenario's own. */
export interface RunRequest {
  readonly scenarios: readonly string[];
  readonly models: readonly string[];
  /** Each `name` or `name:key=value,...`. */
  readonly methods: readonly string[];
  readonly budgets?: readonly number[];
  readonly lengths?: readonly number[];
  readonly seed: number;
  readonly repeats?: number;
  readonly quick: boolean;
}

/** One scenario on one model, every choice made. */
export interface PlannedScenario {
  readonly scenario: Scenario;
  /** Absent where the scenario needs none. */
  readonly model?: ModelEntry;
  readonly methods: readonly MethodRequest[];
  readonly lengths: readonly number[];
  readonly budgets: readonly number[];
  readonly repeats: number;
}

/** Everything that a run will do; made, and refused, before any GPU is opened. */
export interface RunPlan {
  readonly items: readonly PlannedScenario[];
  readonly dense: MethodRequest;
  readonly seed: number;
  readonly quick: boolean;
  /** One line per thing that `--quick` leaves out. */
  readonly leftOut: readonly string[];
}

/**
 * Checks a request against the registry and fills in what it leaves open.
 *
 * @throws UsageError for unknown names, options that a schema refuses, or a method that fits none of the scenarios.
 */
export function planRun(registry: Registry, request: RunRequest): RunPlan {
  const scenarios = request.scenarios.map((name) => registry.scenario(name));
  const models = request.models.map((name) => registry.model(name));
  const asked = request.methods.map((text) => methodRequest(text, registry, scenarios));
  for (const { entry } of asked) {
    if (!scenarios.some((scenario) => registry.methodsFor(scenario).includes(entry))) {
      const names = scenarios.map((scenario) => `${scenario.name} (${namesOfFitting(registry, scenario)})`).join('; ');
      throw new UsageError(`method ${entry.name} fits none of the chosen scenarios. What fits: ${names}.`);
    }
  }
  const items = scenarios.flatMap((scenario) => planScenario(registry, scenario, models, asked, request));
  const dense: MethodRequest = { entry: registry.method('dense'), given: {} };
  const leftOut = request.quick ? scenarios.flatMap((scenario) => describeLeftOut(scenario, request)) : [];
  return { items, dense, seed: request.seed, quick: request.quick, leftOut };
}

function planScenario(
  registry: Registry,
  scenario: Scenario,
  models: readonly ModelEntry[],
  asked: readonly MethodRequest[],
  request: RunRequest,
): PlannedScenario[] {
  const fitting = registry.methodsFor(scenario);
  const item: PlannedScenario = {
    scenario,
    methods:
      asked.length > 0
        ? asked.filter(({ entry }) => fitting.includes(entry))
        : fitting.map((entry) => ({ entry, given: {} })),
    lengths: request.lengths ?? pick(scenario.lengths, request.quick),
    budgets: request.budgets ?? pick(scenario.budgets, request.quick),
    repeats: request.repeats ?? pick(scenario.repeats, request.quick),
  };
  refuseBadOptions(item);
  if (scenario.needs === 'none') return [item];
  const family = (known: readonly ModelEntry[]) => known.filter((model) => model.family === scenario.needs);
  const suitable = models.length > 0 ? family(models) : family(registry.models).slice(0, 1);
  if (suitable.length === 0) throw new UsageError(`${scenario.name} needs a model of the family ${scenario.needs}.`);
  return suitable.map((model) => ({ ...item, model }));
}

/** Every variant that will be measured is made once, so that a bad option is found now and not after an hour. */
function refuseBadOptions(item: PlannedScenario): void {
  for (const request of item.methods) {
    for (const length of item.lengths) {
      try {
        variantsOf(request, item.budgets, length);
      } catch (cause) {
        if (!(cause instanceof OptionError)) throw cause;
        const where = `method ${request.entry.name} at ${length} tokens`;
        throw new UsageError(`${where}: ${cause.message}`, { cause });
      }
    }
  }
}

function pick<T>(setting: FullAndQuick<T>, quick: boolean): T {
  return quick ? setting.quick : setting.full;
}

function namesOfFitting(registry: Registry, scenario: Scenario): string {
  return registry
    .methodsFor(scenario)
    .map(({ name }) => name)
    .join(', ');
}

function describeLeftOut(scenario: Scenario, request: RunRequest): string[] {
  const parts: string[] = [];
  const missing = (full: readonly number[], quick: readonly number[]) => full.filter((value) => !quick.includes(value));
  const lengths = missing(scenario.lengths.full, scenario.lengths.quick);
  if (request.lengths === undefined && lengths.length > 0) parts.push(`lengths ${lengths.join(', ')}`);
  const budgets = missing(scenario.budgets.full, scenario.budgets.quick);
  if (request.budgets === undefined && budgets.length > 0) parts.push(`budgets ${budgets.join(', ')}`);
  const { full, quick } = scenario.repeats;
  if (request.repeats === undefined && quick < full) parts.push(`${full - quick} of ${full} repeats`);
  return parts.length === 0 ? [] : [`${scenario.name}: ${parts.join('; ')}`];
}
