import type { MethodEntry } from '../method-entry.ts';
import type { ResultRow } from '../result-file/types.ts';
import { formatOptions } from './format.ts';
import { contextLength } from './metrics.ts';

/** The rows of one scenario on one model, with what the registry knows of them. */
export interface Group {
  readonly scenario: string;
  readonly model: string | null;
  readonly title: string;
  readonly description: string;
  readonly rows: readonly ResultRow[];
  /** What a row's method is; a method that this bench does not know counts as one of a paper. */
  roleOf(row: ResultRow): MethodEntry['role'];
  /** Name of the line that a row belongs to, among all rows of the group. */
  seriesOf(row: ResultRow): string;
}

/** Titles and roles of what rows name: a registry, or what a page knows of one. */
export interface RowNames {
  readonly scenarios: readonly {
    readonly name: string;
    readonly title: string;
    readonly description: string;
    readonly telling?: readonly string[];
    readonly ownMethods?: readonly MethodNames[];
  }[];
  readonly methods: readonly MethodNames[];
}

type MethodNames = Pick<MethodEntry, 'name' | 'title' | 'role'>;

/** Rows by scenario and model, in the order in which they appear. A file may name scenarios that this bench lacks. */
export function groupRows(rows: readonly ResultRow[], registry: RowNames): readonly Group[] {
  const groups = new Map<string, ResultRow[]>();
  for (const row of rows) {
    const key = JSON.stringify([row.scenario, row.model]);
    groups.set(key, [...(groups.get(key) ?? []), row]);
  }
  return [...groups.values()].map((members) => makeGroup(members, registry));
}

function makeGroup(rows: readonly ResultRow[], registry: RowNames): Group {
  const { scenario, model } = rows[0] as ResultRow;
  const known = registry.scenarios.find((candidate) => candidate.name === scenario);
  const telling = tellingOptions(rows);
  const title = known?.title ?? scenario;
  return {
    scenario,
    model,
    title: model === null ? title : `${title}: ${model}`,
    description: known?.description ?? '',
    rows,
    roleOf: (row) => findEntry(row.method, registry, known)?.role ?? 'method',
    seriesOf(row) {
      const options = Object.entries(row.options).filter(
        ([name]) => telling.get(row.method)?.has(name) && (known?.telling?.includes(name) ?? true),
      );
      const label = findEntry(row.method, registry, known)?.title ?? row.method;
      return options.length === 0
        ? label
        : `${label} (${formatOptions({ ...row, options: Object.fromEntries(options) })})`;
    },
  };
}

/**
 * Per method the options that tell its lines apart: those that differ between rows of equal budget and length. (An
 * option that only follows the budget, such as a token count, would split a line into single points.)
 */
function tellingOptions(rows: readonly ResultRow[]): ReadonlyMap<string, ReadonlySet<string>> {
  const telling = new Map<string, Set<string>>();
  const firsts = new Map<string, ResultRow>();
  for (const row of rows) {
    const key = JSON.stringify([row.method, row.budget, contextLength(row)]);
    const first = firsts.get(key) ?? row;
    firsts.set(key, first);
    for (const name of Object.keys(row.options)) {
      if (JSON.stringify(row.options[name]) === JSON.stringify(first.options[name])) continue;
      telling.set(row.method, (telling.get(row.method) ?? new Set()).add(name));
    }
  }
  return telling;
}

function findEntry(
  name: string,
  registry: RowNames,
  scenario: RowNames['scenarios'][number] | undefined,
): MethodNames | undefined {
  return [...registry.methods, ...(scenario?.ownMethods ?? [])].find((entry) => entry.name === name);
}
