import { openGpu } from '@saccade/core';
import { executePlan } from '../../execute-plan.ts';
import { planRun, type RunPlan } from '../../plan.ts';
import { progressStream, streamReporter } from '../../progress/progress.ts';
import { markdownTables } from '../../report/markdown.ts';
import { describeEnvironment } from '../../result-file/environment.ts';
import { writeResultFile } from '../../result-file/read-write.ts';
import type { Picture, ResultRow } from '../../result-file/types.ts';
import { onGpu } from '../gpu-stage.ts';
import type { CliContext, ExitCode } from '../program.ts';

/** Options of `run` as commander gives them. */
export interface RunFlags {
  readonly model: readonly string[];
  readonly method: readonly string[];
  readonly budget?: readonly number[];
  readonly lengths?: readonly number[];
  readonly seed: number;
  readonly repeats?: number;
  readonly adapter?: string;
  readonly quick?: boolean;
  readonly json?: string;
}

/**
 * Runs scenarios, prints a table of each and writes the result file if asked to.
 *
 * @returns 1 if a row failed, else 0.
 * @throws UsageError before anything runs.
 */
export async function runCommand(
  context: CliContext,
  scenarios: readonly string[],
  flags: RunFlags,
): Promise<ExitCode> {
  const plan = planRun(context.registry, {
    scenarios,
    models: flags.model,
    methods: flags.method,
    seed: flags.seed,
    quick: flags.quick === true,
    ...(flags.budget === undefined ? {} : { budgets: flags.budget }),
    ...(flags.lengths === undefined ? {} : { lengths: flags.lengths }),
    ...(flags.repeats === undefined ? {} : { repeats: flags.repeats }),
  });
  return await onGpu(flags.adapter, () => execute(context, plan, flags.json));
}

async function execute(context: CliContext, plan: RunPlan, json: string | undefined): Promise<ExitCode> {
  const gpu = await openGpu();
  for (const line of plan.leftOut) console.error(`--quick leaves out ${line}`);
  const rows: ResultRow[] = [];
  const pictures: Picture[] = [];
  const onPicture = (picture: Picture) => pictures.push(picture);
  try {
    const reporter = streamReporter(progressStream());
    for await (const row of executePlan(plan, { gpu, signal: context.signal, reporter, onPicture })) {
      rows.push(row);
      if (row.status === 'failed') console.error(`${row.scenario}, ${row.method}: ${row.message ?? 'failed'}`);
    }
  } finally {
    // What was measured before a stop is worth keeping.
    if (json !== undefined && rows.length > 0) {
      const { commandLine } = context;
      const environment = describeEnvironment(gpu, { commandLine, quick: plan.quick, leftOut: plan.leftOut });
      const shown = pictures.length > 0 ? { pictures } : {};
      writeResultFile(json, { schema: 'saccade-bench/1', environment, results: rows, ...shown });
      console.error(`Wrote ${json}`);
    }
  }
  console.log(markdownTables(rows, context.registry));
  return rows.some((row) => row.status === 'failed') ? 1 : 0;
}
