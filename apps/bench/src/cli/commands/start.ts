import { fileURLToPath } from 'node:url';
import { type Gpu, openGpu } from '@saccade/core';
import type { LanguageModel } from '@saccade/models';
import { tidalDecode } from '@saccade/tidaldecode';
import { evaluationText } from '../../data/text.ts';
import { executeOnModel, loadModel } from '../../execute-plan.ts';
import { planRun } from '../../plan.ts';
import { progressStream, startProgress } from '../../progress/progress.ts';
import { htmlReport } from '../../report/html.ts';
import { describeEnvironment } from '../../result-file/environment.ts';
import { writeResultFile, writeTextFile } from '../../result-file/read-write.ts';
import type { ResultRow, Roofline } from '../../result-file/types.ts';
import { measureRoofline } from '../../roofline/measure-roofline.ts';
import { shortSweep } from '../../roofline/sweep.ts';
import { onGpu } from '../gpu-stage.ts';
import type { CliContext, ExitCode } from '../program.ts';

const results = fileURLToPath(new URL('../../../../../results/', import.meta.url));

/** Tokens each head of a sparse layer reads in the demonstration; the passage is several times as long. */
const demonstrationTopK = 128;

/**
 * The main job: a real model, dense beside TidalDecode, first as streamed answers, then as a quick comparison with a
 * report.
 *
 * @returns 1 if the weights cannot be had or a row failed, else 0.
 */
export async function startCommand(context: CliContext, flags: { readonly adapter?: string }): Promise<ExitCode> {
  const plan = planRun(context.registry, {
    scenarios: ['language/perplexity', 'language/needle', 'language/decode', 'attention/decode'],
    models: [],
    methods: [],
    seed: 0,
    quick: true,
  });
  return await onGpu(flags.adapter, async () => {
    const gpu = await openGpu();
    const stream = progressStream();
    const execution = { gpu, signal: context.signal, stream };
    console.log(`GPU: ${gpu.adapter.description}`);
    const entry = context.registry.models[0];
    if (!entry) throw new Error('The catalog has no model.');
    const model = await loadModel(entry, execution);
    const rows: ResultRow[] = [];
    try {
      await demonstrate(model as LanguageModel, context.signal);
      console.log('\nNow a quick comparison. It takes some minutes without a GPU.');
      const roofline = await roof(gpu, context.signal);
      try {
        for await (const row of executeOnModel(plan, model, execution)) rows.push(row);
      } finally {
        // What was measured before a stop is worth keeping.
        if (rows.length > 0) report(context, gpu, rows, roofline, plan.leftOut);
      }
    } finally {
      model.dispose();
    }
    for (const row of rows)
      if (row.status === 'failed') console.error(`${row.scenario}, ${row.method}: ${row.message ?? 'failed'}`);
    return rows.some((row) => row.status === 'failed') ? 1 : 0;
  });
}

/** What is asked about the page; the page says it once. */
const question = "What is the name of Sir Walter's wife? Answer in one sentence.";

/** Streams an answer about a passage twice from one prefill: dense, then with TidalDecode. */
async function demonstrate(model: LanguageModel, signal: AbortSignal): Promise<void> {
  const passage = evaluationText().slice(0, 1600);
  const progress = startProgress('Reading a page', progressStream());
  progress.total(100);
  let done = 0;
  const prompt = await model.prefill(
    [
      {
        role: 'user',
        content: `${passage}\n\n${question}`,
      },
    ],
    {
      signal,
      onProgress: (share) => {
        progress.advance(Math.round(share * 100) - done);
        done = Math.round(share * 100);
      },
    },
  );
  progress.finish();
  console.log(`\nA page of Jane Austen (${prompt.length} tokens) and the question: ${question}`);
  try {
    for (const [title, method] of [
      ['dense: every head reads all tokens', undefined],
      [
        `tidaldecode: heads of sparse layers read ${demonstrationTopK} tokens`,
        tidalDecode({ topK: demonstrationTopK }),
      ],
    ] as const) {
      // The first tokens compile kernels; they do not count.
      for await (const _ of model.generate(prompt, { method, maxTokens: 3, signal }));
      console.log(`\n--- ${title}`);
      const start = performance.now();
      let tokens = 0;
      for await (const piece of model.generate(prompt, { method, maxTokens: 48, signal })) {
        process.stdout.write(piece.text);
        tokens += piece.ids.length;
      }
      console.log(`\n(${tokens} tokens, ${(tokens / ((performance.now() - start) / 1000)).toFixed(1)} per second)`);
    }
  } finally {
    prompt.dispose();
  }
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

function report(
  context: CliContext,
  gpu: Gpu,
  rows: readonly ResultRow[],
  roofline: Roofline,
  leftOut: readonly string[],
): void {
  const environment = describeEnvironment(gpu, { commandLine: context.commandLine, quick: true, leftOut });
  const file = { schema: 'saccade-bench/1', environment, results: rows, roofline } as const;
  writeResultFile(`${results}start.json`, file);
  writeTextFile(`${results}start.html`, htmlReport(file, context.registry));
  console.log(`\nResults: ${results}start.json\nReport:  ${results}start.html (open it in a browser)`);
}
