import type { OptionSchema, Phase } from '@saccade/core';
import type { MethodEntry } from './method-entry.ts';
import type { ModelFamily } from './model-entry.ts';
import type { Registry } from './registry.ts';
import type { FullAndQuick, Scenario } from './scenario.ts';

/** What can be run, as plain data; option schemas are given whole. */
export interface Listing {
  readonly scenarios: readonly ListedScenario[];
  readonly methods: readonly ListedMethod[];
  readonly models: readonly ListedModel[];
}

export interface ListedScenario {
  readonly name: string;
  readonly title: string;
  readonly description: string;
  readonly needs: Scenario['needs'];
  readonly phases: readonly Phase[];
  readonly telling?: readonly string[];
  readonly lengths: FullAndQuick<readonly number[]>;
  readonly budgets: FullAndQuick<readonly number[]>;
  readonly repeats: FullAndQuick<number>;
  /** Names of the methods that fit, the dense run first. */
  readonly methods: readonly string[];
}

export interface ListedMethod {
  readonly name: string;
  readonly title: string;
  readonly description: string;
  readonly paper: string | null;
  readonly role: MethodEntry['role'];
  readonly phases: readonly Phase[];
  readonly needs: 'vision' | null;
  /** Of some scenarios alone, which say what it does there. */
  readonly ofScenario: boolean;
  /** A procedure around a model, not a method. */
  readonly procedure: boolean;
  readonly hasBudget: boolean;
  /** Names of the options that a budget sets; giving one of them replaces it. */
  readonly budgetOptions: readonly string[];
  readonly options: OptionSchema;
}

export interface ListedModel {
  readonly name: string;
  readonly title: string;
  readonly description: string;
  readonly family: ModelFamily;
  readonly classes?: readonly string[];
}

/** Everything that a registry knows by name. */
export function listing(registry: Registry): Listing {
  return {
    scenarios: registry.scenarios.map((scenario) => ({
      name: scenario.name,
      title: scenario.title,
      description: scenario.description,
      needs: scenario.needs,
      phases: scenario.phases,
      ...(scenario.telling ? { telling: scenario.telling } : {}),
      lengths: scenario.lengths,
      budgets: scenario.budgets,
      repeats: scenario.repeats,
      methods: registry.methodsFor(scenario).map(({ name }) => name),
    })),
    methods: allMethods(registry).map((entry) => ({
      name: entry.name,
      title: entry.title,
      description: entry.description,
      paper: entry.paper ?? null,
      role: entry.role,
      phases: entry.phases,
      needs: entry.needs ?? null,
      ofScenario: !registry.methods.includes(entry),
      procedure: entry.answer !== undefined,
      hasBudget: entry.atBudget !== undefined,
      budgetOptions: Object.keys(entry.atBudget?.(1, 1024) ?? {}),
      options: entry.options,
    })),
    models: registry.models.map(({ name, title, description, family, classes }) => ({
      name,
      title,
      description,
      family,
      ...(classes ? { classes } : {}),
    })),
  };
}

/** Shared methods, and those that only some scenarios have. */
export function allMethods(registry: Registry): readonly MethodEntry[] {
  return [...new Set([...registry.methods, ...registry.scenarios.flatMap((scenario) => scenario.ownMethods ?? [])])];
}
