import { ArgumentError } from '@saccade/core';
import { denseEntry, type MethodEntry } from './method-entry.ts';
import type { ModelEntry } from './model-entry.ts';
import type { Scenario } from './scenario.ts';
import { unknownName } from './usage-error.ts';

/** What a registry holds. */
export interface RegistryContent {
  readonly scenarios: readonly Scenario[];
  /** Methods and baselines, without the dense run. */
  readonly methods: readonly MethodEntry[];
  readonly models: readonly ModelEntry[];
  /** Makes an entry of a local file or folder, or returns undefined where the name is neither. */
  readonly modelFromPath?: (path: string) => ModelEntry | undefined;
}

/** Other names of methods. */
const aliases: Readonly<Record<string, string>> = { greedy: 'dense' };

/** Everything that the bench knows by name. */
export class Registry {
  readonly scenarios: readonly Scenario[];
  /** The dense run first. */
  readonly methods: readonly MethodEntry[];
  readonly models: readonly ModelEntry[];
  readonly #modelFromPath: ((path: string) => ModelEntry | undefined) | undefined;

  /** @throws ArgumentError if two entries of a kind have one name. */
  constructor(content: RegistryContent) {
    this.scenarios = content.scenarios;
    this.methods = [denseEntry, ...content.methods];
    this.models = content.models;
    this.#modelFromPath = content.modelFromPath;
    refuseDuplicates('scenarios', this.scenarios);
    refuseDuplicates('models', this.models);
    for (const scenario of this.scenarios) {
      refuseDuplicates('methods', [...this.methods, ...(scenario.ownMethods ?? [])]);
    }
  }

  /** @throws UsageError that lists near names. */
  scenario(name: string): Scenario {
    return find('scenario', name, this.scenarios);
  }

  /**
   * A shared method, or one that only the given scenarios have; `greedy` is `dense`.
   *
   * @throws UsageError that lists near names.
   */
  method(name: string, scenarios: readonly Scenario[] = this.scenarios): MethodEntry {
    const known = [...this.methods, ...scenarios.flatMap((scenario) => scenario.ownMethods ?? [])];
    return find('method', aliases[name] ?? name, known);
  }

  /**
   * A model by name or by the path of a local file or folder.
   *
   * @throws UsageError that lists near names.
   */
  model(name: string): ModelEntry {
    const known = this.models.find((entry) => entry.name === name);
    return (
      known ??
      this.#modelFromPath?.(name) ??
      find('model', name, this.models, this.#modelFromPath && 'A local file or folder works too.')
    );
  }

  /**
   * Every method that fits a scenario, the dense run first: those that change a phase that it measures on models of its kind, and its own.
   * Shared methods plug into models, so the bare engine takes only its own and dense.
   */
  methodsFor(scenario: Scenario): readonly MethodEntry[] {
    const shared = this.methods.filter(
      ({ name, phases, needs = scenario.needs }) =>
        name === denseEntry.name ||
        (scenario.needs !== 'none' &&
          needs === scenario.needs &&
          phases.some((phase) => scenario.phases.includes(phase))),
    );
    return [...shared, ...(scenario.ownMethods ?? [])];
  }
}

function find<Entry extends { readonly name: string }>(
  kind: string,
  name: string,
  entries: readonly Entry[],
  instead?: string,
): Entry {
  const entry = entries.find((candidate) => candidate.name === name);
  if (entry !== undefined) return entry;
  throw unknownName(
    kind,
    name,
    entries.map((candidate) => candidate.name),
    instead,
  );
}

function refuseDuplicates(argument: string, entries: readonly { readonly name: string }[]): void {
  const names = entries.map(({ name }) => name);
  const repeated = names.find((name, index) => names.indexOf(name) !== index);
  if (repeated !== undefined) throw new ArgumentError(argument, repeated, 'each name once');
}
