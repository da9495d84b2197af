import { type GivenOptions, OptionError, type OptionSchema, optionsFromText, parseOptions } from '@saccade/core';
import type { MethodEntry } from './method-entry.ts';
import type { Registry } from './registry.ts';
import type { Scenario, Variant } from './scenario.ts';
import { UsageError } from './usage-error.ts';

/** A method as the user asked for it. */
export interface MethodRequest {
  readonly entry: MethodEntry;
  /** The options that were named, validated; defaults are not among them. */
  readonly given: Readonly<Record<string, unknown>>;
}

/**
 * Reads `name` or `name:key=value,...`.
 *
 * @throws UsageError for an unknown method (near names listed) or an option that its schema refuses.
 */
export function methodRequest(text: string, registry: Registry, scenarios: readonly Scenario[]): MethodRequest {
  const colon = text.indexOf(':');
  const name = colon < 0 ? text : text.slice(0, colon);
  const entry = registry.method(name, scenarios);
  try {
    return { entry, given: colon < 0 ? {} : optionsFromText(entry.options, text.slice(colon + 1)) };
  } catch (cause) {
    if (cause instanceof OptionError) throw new UsageError(`method ${entry.name}: ${cause.message}`, { cause });
    throw cause;
  }
}

/**
 * The variants of one method at one context length (of a grid of that many tokens, where they lie on one): one per budget, or a single one where the method has no budget or
 * the user gave the very options that a budget would set.
 *
 * @throws OptionError if the schema refuses the options (a required one is missing, or a budget leads out of range).
 */
export function variantsOf(
  { entry, given }: MethodRequest,
  budgets: readonly number[],
  contextLength: number,
  grid?: readonly number[],
): readonly Variant[] {
  const { atBudget } = entry;
  const owned = atBudget === undefined ? [] : Object.keys(atBudget.call(entry, 1, contextLength, grid));
  const shares = atBudget === undefined || owned.some((name) => name in given) ? [null] : budgets;
  return shares.map((budget) => {
    const fromBudget = budget === null ? {} : entry.atBudget?.(budget, contextLength, grid);
    // `parseOptions` checks what the types of a schema known only at run time cannot.
    const options = parseOptions(entry.options, { ...fromBudget, ...given } as GivenOptions<OptionSchema>);
    const answer = entry.answer?.(options);
    return { entry, options, budget, create: () => entry.create(options), ...(answer ? { answer } : {}) };
  });
}
