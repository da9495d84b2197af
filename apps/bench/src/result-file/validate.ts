import { SaccadeError } from '@saccade/core';
import { Ajv } from 'ajv';
import schema from '../../schema/saccade-bench-1.schema.json' with { type: 'json' };
import type { ResultFile, ResultRow } from './types.ts';

/** A result file does not follow `saccade-bench/1`; `problems` says where. */
export class ResultFileError extends SaccadeError {
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    const shown = problems.slice(0, 10);
    const more = problems.length > shown.length ? `\n  and ${problems.length - shown.length} more` : '';
    super('result-file', `This is not a valid saccade-bench/1 file:\n  ${shown.join('\n  ')}${more}`);
    this.problems = problems;
  }
}

const matchesSchema = new Ajv({ allErrors: true, allowUnionTypes: true }).compile(schema);

/**
 * Returns `value` as a result file if it follows the JSON Schema and what a schema cannot say: intervals hold their
 * value, percentiles are in order, and every scenario and model has its dense run.
 *
 * @throws ResultFileError that lists what is wrong.
 */
export function validateResultFile(value: unknown): ResultFile {
  if (!matchesSchema(value)) {
    throw new ResultFileError(
      (matchesSchema.errors ?? [])
        .filter((error) => error.keyword !== 'anyOf')
        .map((error) => {
          const extra = 'additionalProperty' in error.params ? ` (${String(error.params.additionalProperty)})` : '';
          return `${error.instancePath || '/'} ${error.message ?? error.keyword}${extra}`;
        }),
    );
  }
  // The compiler infers the schema's type from its JSON, and too little of it.
  const file = value as unknown as ResultFile;
  const problems = [...orderProblems(file, ''), ...missingDense(file.results)];
  if (problems.length > 0) throw new ResultFileError(problems);
  return file;
}

function* orderProblems(value: unknown, path: string): Generator<string> {
  if (typeof value !== 'object' || value === null) return;
  const { low, value: centre, high, p10, median, p90 } = value as Record<string, unknown>;
  if (!inOrder(low, centre, high)) yield `${path} must have low <= value <= high`;
  if (!inOrder(p10, median, p90)) yield `${path} must have p10 <= median <= p90`;
  for (const [key, child] of Object.entries(value)) yield* orderProblems(child, `${path}/${key}`);
}

/** True unless all three are numbers and out of order. */
function inOrder(first: unknown, second: unknown, third: unknown): boolean {
  if (typeof first !== 'number' || typeof second !== 'number' || typeof third !== 'number') return true;
  return first <= second && second <= third;
}

function* missingDense(rows: readonly ResultRow[]): Generator<string> {
  const groups = new Map<string, ResultRow[]>();
  for (const row of rows) {
    const key = row.model === null ? row.scenario : `${row.scenario} on ${row.model}`;
    groups.set(key, [...(groups.get(key) ?? []), row]);
  }
  for (const [key, group] of groups) {
    if (!group.some((row) => row.method === 'dense')) yield `/results has no dense row for ${key}`;
  }
}
