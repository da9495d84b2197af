import { optionsTable } from '@saccade/core';
import { allMethods, listing } from '../../listing.ts';
import type { Registry } from '../../registry.ts';
import type { ExitCode } from '../program.ts';

/** Prints what can be run. */
export function listCommand(registry: Registry, json: boolean): ExitCode {
  console.log(json ? JSON.stringify(listing(registry), null, 2) : listingText(registry));
  return 0;
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
