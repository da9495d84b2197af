import { fileURLToPath } from 'node:url';
import { type Gpu, openGpu } from '@saccade/core';
import { LanguageModel, ModelNotFoundError } from '@saccade/models';
import { type ExecuteOptions, executeOnModel, loadModel } from '../../execute-plan.ts';
import { planRun, type RunPlan } from '../../plan.ts';
import { progressStream, startProgress, streamReporter } from '../../progress/progress.ts';
import type { Registry } from '../../registry.ts';
import { groupRows } from '../../report/groups.ts';
import { headlinesOf } from '../../report/headlines.ts';
import { htmlReport } from '../../report/html.ts';
import { describeEnvironment } from '../../result-file/environment.ts';
import { writeResultFile, writeTextFile } from '../../result-file/read-write.ts';
import type { ResultRow, Roofline } from '../../result-file/types.ts';
import { measureRoofline } from '../../roofline/measure-roofline.ts';
import { shortSweep } from '../../roofline/sweep.ts';
import { demonstrate } from '../../start/demonstration.ts';
import { fallbackJob, type MainJob, mainJob } from '../../start/jobs.ts';
import { onGpu } from '../gpu-stage.ts';
import type { CliContext, ExitCode } from '../program.ts';

const results = fileURLToPath(new URL('../../../../../results/', import.meta.url));

/**
 * The main job: a real model, dense beside TidalDecode, first as streamed answers, then as a quick comparison with a
 * report. Where the model cannot be had, the same on a tiny one, and every output says so.
 *
 * @returns 1 if a row failed, else 0.
 */
export async function startCommand(context: CliContext, flags: { readonly adapter?: string }): Promise<ExitCode> {
  return await onGpu(flags.adapter, async () => {
    const gpu = await openGpu();
    console.log(`GPU: ${gpu.adapter.description}`);
    return await runJob(context, gpu, { job: mainJob, fallback: fallbackJob, folder: results });
  });
}

/** Which job to run, which one if its model cannot be had, and where results go (a folder with `/` at its end). */
export interface JobChoice {
  readonly job: MainJob;
  readonly fallback: MainJob;
  readonly folder: string;
}

/** Runs a job on a GPU that is open; see {@link startCommand}. */
export async function runJob(context: CliContext, gpu: Gpu, choice: JobChoice): Promise<ExitCode> {
  const execution = { gpu, signal: context.signal, reporter: streamReporter(progressStream()) };
  const { job, model } = await loadJob(choice, execution);
  const plan = planJob(context.registry, job);
  const rows: ResultRow[] = [];
  try {
    await demonstrate(model, job.demonstration(), context.signal);
    console.log('\nNow a quick comparison. It takes some minutes without a GPU.');
    const roofline = await roof(gpu, context.signal);
    try {
      for await (const row of executeOnModel(plan, model, execution)) rows.push(row);
    } finally {
      // What was measured before a stop is worth keeping.
      if (rows.length > 0) report(context, gpu, { rows, roofline, plan, job, folder: choice.folder });
    }
  } finally {
    model.dispose();
  }
  for (const row of rows)
    if (row.status === 'failed') console.error(`${row.scenario}, ${row.method}: ${row.message ?? 'failed'}`);
  return rows.some((row) => row.status === 'failed') ? 1 : 0;
}

/** Loads the job's model, or the fallback's where it is nowhere to be had, which is said. */
async function loadJob(
  { job, fallback }: JobChoice,
  execution: ExecuteOptions,
): Promise<{ job: MainJob; model: LanguageModel }> {
  try {
    return { job, model: await load(job, execution) };
  } catch (error) {
    if (!ModelNotFoundError.isInstance(error)) throw error;
    console.log(`\n${error.message}\nAny one of these will do; then run this again.`);
    console.log(`\n*** ${fallback.notice ?? fallback.model.description} ***\n`);
    return { job: fallback, model: await load(fallback, execution) };
  }
}

async function load({ model: entry }: MainJob, execution: ExecuteOptions): Promise<LanguageModel> {
  const model = await loadModel(entry, execution);
  if (model instanceof LanguageModel) return model;
  model.dispose();
  throw new Error(`${entry.name} is no language model.`);
}

/** The job's scenarios with every method that fits, its own options in the place of defaults. */
function planJob(registry: Registry, { model, scenarios, methods }: MainJob): RunPlan {
  const fitting = scenarios.flatMap((name) => registry.methodsFor(registry.scenario(name)).map((entry) => entry.name));
  const adapted = new Map(methods.map((text) => [text.split(':', 1)[0], text]));
  return planRun(registry, {
    scenarios,
    models: [model.name],
    methods: [...new Set(fitting)].map((name) => adapted.get(name) ?? name),
    seed: 0,
    quick: true,
  });
}

async function roof(gpu: Gpu, signal: AbortSignal): Promise<Roofline> {
  const progress = startProgress('Peaks of the adapter', progressStream());
  const candidates = shortSweep(gpu, 2 ** 26);
  progress.total(candidates.length);
  try {
    return await measureRoofline(gpu, candidates, { signal, onStep: (label) => progress.advance(1, label) });
  } finally {
    progress.finish();
  }
}

/** What a report is made of. */
interface JobResults {
  readonly rows: readonly ResultRow[];
  readonly roofline: Roofline;
  readonly plan: RunPlan;
  readonly job: MainJob;
  readonly folder: string;
}

function report(context: CliContext, gpu: Gpu, { rows, roofline, plan, job, folder }: JobResults): void {
  const { notice } = job;
  const environment = describeEnvironment(gpu, {
    commandLine: context.commandLine,
    quick: true,
    leftOut: plan.leftOut,
    ...(notice === undefined ? {} : { notice }),
  });
  const file = { schema: 'saccade-bench/1', environment, results: rows, roofline } as const;
  writeResultFile(`${folder}start.json`, file);
  writeTextFile(`${folder}start.html`, htmlReport(file, context.registry));
  console.log(`\n${headlinesOf(groupRows(rows, context.registry)).join('\n')}`);
  if (notice !== undefined) console.log(`\n*** ${notice} ***`);
  console.log(`\nResults: ${folder}start.json\nReport:  ${folder}start.html (open it in a browser)`);
}
