import { optionsTable } from '@saccade/core';
import type { MethodEntry } from '../../method-entry.ts';
import type { Registry } from '../../registry.ts';
import type { ExitCode } from '../program.ts';

/** Prints what can be run. */
export function listCommand(registry: Registry, json: boolean): ExitCode {
  console.log(json ? JSON.stringify(listing(registry), null, 2) : listingText(registry));
  return 0;
}

/** The machine-readable list; option schemas are given whole. */
function listing(registry: Registry): object {
  return {
    scenarios: registry.scenarios.map((scenario) => ({
      name: scenario.name,
      title: scenario.title,
      description: scenario.description,
      needs: scenario.needs,
      phases: scenario.phases,
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
      hasBudget: entry.atBudget !== undefined,
      options: entry.options,
    })),
    models: registry.models.map(({ name, title, description, family }) => ({ name, title, description, family })),
  };
}

function listingText(registry: Registry): string {
  const lines: string[] = ['Scenarios'];
  for (const scenario of registry.scenarios) {
    const methods = registry.methodsFor(scenario).map(({ name }) => name);
    lines.push(`  ${scenario.name}`, `      ${scenario.description}`, `      methods: ${methods.join(', ')}`);
  }
  lines.push('', 'Methods and baselines (greedy is another name of dense)');
  for (const entry of allMethods(registry)) {
    lines.push(`  ${entry.name}${entry.paper ? ` (${entry.paper})` : ''}`, `      ${entry.description}`);
    if (Object.keys(entry.options).length > 0) {
      lines.push(
        ...optionsTable(entry.options)
          .split('\n')
          .map((line) => `      ${line}`),
      );
    }
  }
  lines.push('', 'Models (a local file or folder works too)');
  for (const model of registry.models) lines.push(`  ${model.name}`, `      ${model.description}`);
  return lines.join('\n');
}

function allMethods(registry: Registry): readonly MethodEntry[] {
  return [...new Set([...registry.methods, ...registry.scenarios.flatMap((scenario) => scenario.ownMethods ?? [])])];
}
