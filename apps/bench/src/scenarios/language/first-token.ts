import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { SaccadeError, summarizeTimings } from '@saccade/core';
import type { ResultRow } from '../../result-file/types.ts';
import type { Scenario, ScenarioContext } from '../../scenario.ts';
import type { FirstToken } from './first-token-process.ts';
import { languageModel } from './language-model.ts';

const program = fileURLToPath(new URL('./first-token-process.ts', import.meta.url));

const starts = ['cold', 'after warmUp'] as const;

/** `language/first-token`: how long the first answer takes where nothing has been compiled yet. */
export const languageFirstToken: Scenario = {
  name: 'language/first-token',
  title: 'Time to the first token',
  description:
    'From a prompt of the given length to its first token, in a fresh process with a fresh device and, where the driver is Mesa, without its shader cache; ' +
    'loading the weights is not counted. Once as it is, once after `model.warmUp`, whose own time the remark says. A repeat is one process.',
  needs: 'language',
  phases: ['prefill', 'decode'],
  ownMethods: [],
  lengths: { full: [512], quick: [128] },
  budgets: { full: [1], quick: [1] },
  repeats: { full: 3, quick: 1 },
  async *run(context) {
    const { name } = languageModel(context).facts;
    context.progress.total(context.lengths.length * starts.length);
    for (const length of context.lengths) {
      for (const start of starts) {
        yield await measureStart(context, name, length, start);
        context.progress.advance(1, `${length} tokens, ${start}`);
      }
    }
  },
};

function measureStart(
  context: ScenarioContext,
  model: string,
  length: number,
  start: (typeof starts)[number],
): Promise<ResultRow> {
  const [dense] = context.variants(length);
  if (!dense) throw new SaccadeError('bench', 'A scenario has a dense run.');
  return context.measure(dense, { contextLength: length, start }, async () => {
    const runs: FirstToken[] = [];
    for (let repeat = 0; repeat < context.repeats; repeat++) {
      runs.push(await runProcess([model, `${length}`, start], context.signal));
    }
    const warmUp = summarizeTimings(runs.map(({ warmUpMs }) => warmUpMs)).median;
    const pipelines = `${runs[0]?.pipelines} pipelines`;
    return {
      samples: runs.length,
      density: 1,
      quality: {},
      speed: { firstTokenMs: summarizeTimings(runs.map(({ firstTokenMs }) => firstTokenMs)) },
      memory: {},
      message: start === 'cold' ? pipelines : `${pipelines}; warmUp took ${Math.round(warmUp)} ms`,
    };
  });
}

/** Runs the program and reads what it prints. */
function runProcess(given: readonly string[], signal: AbortSignal): Promise<FirstToken> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [...process.execArgv, program, ...given], {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: { ...process.env, MESA_SHADER_CACHE_DISABLE: 'true' },
      signal,
    });
    let printed = '';
    child.stdout.on('data', (bytes) => {
      printed += bytes;
    });
    child.on('error', reject);
    child.on('close', (code) => {
      if (code === 0) resolve(JSON.parse(printed) as FirstToken);
      else reject(new SaccadeError('bench', `The process that measures the first token ended with code ${code}.`));
    });
  });
}
