import { type Method, MethodRun, type PromptCache, sampleToken, type Tensor, wilsonInterval } from '@saccade/core';
import type { LanguageModel } from '@saccade/models';
import { DensityMeter } from '../../measure/density.ts';
import type { ResultRow } from '../../result-file/types.ts';
import type { Measured, Scenario, ScenarioContext, Variant } from '../../scenario.ts';
import { languageModel } from './language-model.ts';
import { type NeedleTask, needleTask, question } from './needle-task.ts';

/** Tokens of an answer: a space and four digits, one token each. */
const answerTokens = 6;

/** A dense run below this does not show what a method loses. */
const leastDenseAccuracy = 0.8;

/** `language/needle`: ten numbers hidden in a novel at even depths, asked for one by one. */
export const languageNeedle: Scenario = {
  name: 'language/needle',
  title: 'Needles in a haystack',
  description:
    'Ten sentences that give a city a number are hidden at even depths of a novel. The haystack and the question run densely once; each ' +
    'method decodes the question’s last token and the answer. Where the dense model finds fewer than 8 of 10, rows say so.',
  needs: 'language',
  phases: ['decode'],
  lengths: { full: [512, 1024, 2048, 4096], quick: [512] },
  budgets: { full: [0.02, 0.05, 0.1, 0.25], quick: [0.05, 0.1] },
  repeats: { full: 2, quick: 1 },
  async *run(context) {
    const model = languageModel(context);
    for (const length of context.lengths) yield* measureLength(context, model, length);
  },
};

/** One question with everything before its last token in the cache. */
interface Asked {
  readonly prompt: PromptCache;
  readonly lastToken: number;
  readonly answer: string;
}

async function* measureLength(
  context: ScenarioContext,
  model: LanguageModel,
  length: number,
): AsyncGenerator<ResultRow> {
  const variants = context.variants(length);
  context.progress.total(context.repeats + variants.length);
  const asked: Asked[] = [];
  try {
    for (let repeat = 0; repeat < context.repeats; repeat++) {
      context.progress.advance(1, `haystack ${repeat + 1} of ${context.repeats}, ${length} tokens`);
      asked.push(...(await ask(model, needleTask(model, length, context.seed + repeat), context.signal)));
    }
    let denseFails = false;
    for (const variant of variants) {
      context.progress.advance(1, `${variant.entry.name}, ${length} tokens`);
      const row = await context.measure(variant, { contextLength: length }, async () => {
        const measured = await answerAll(context, model, asked, variant);
        if (variant.entry.name === 'dense') denseFails = accuracyOf(measured) < leastDenseAccuracy;
        return denseFails
          ? { ...measured, status: 'dense fails' as const, message: 'the dense model finds fewer than 8 of 10' }
          : measured;
      });
      yield row;
    }
  } finally {
    for (const { prompt } of asked) prompt.dispose();
  }
}

/** Runs the haystack once and every question but its last token behind a fork of it, densely. */
async function ask(model: LanguageModel, task: NeedleTask, signal: AbortSignal): Promise<Asked[]> {
  const haystack = await model.prefill(task.ids, { reserve: 64, signal });
  try {
    const asked: Asked[] = [];
    for (const needle of task.needles) {
      signal.throwIfAborted();
      const ids = model.tokenizer.encode(question(needle));
      const lastToken = ids.at(-1) as number;
      asked.push({ prompt: await model.extend(haystack, ids.slice(0, -1)), lastToken, answer: needle.answer });
    }
    return asked;
  } finally {
    haystack.dispose();
  }
}

async function answerAll(
  context: ScenarioContext,
  model: LanguageModel,
  asked: readonly Asked[],
  variant: Variant,
): Promise<Measured> {
  const meter = new DensityMeter();
  let found = 0;
  for (const item of asked) {
    context.signal.throwIfAborted();
    const text = await answer(model, item, meter.behind(variant.create()));
    if (text.includes(item.answer)) found++;
  }
  return {
    samples: asked.length,
    density: meter.density,
    quality: { accuracy: wilsonInterval(found, asked.length) },
    speed: {},
    memory: { cacheBytes: asked[0]?.prompt.kv.bytes ?? 0 },
  };
}

/** Greedy answer, decoded with the method from the question's last token on; tokens stay on the GPU until the end. */
async function answer(model: LanguageModel, { prompt, lastToken }: Asked, method: readonly Method[]): Promise<string> {
  const { gpu } = model;
  const run = await MethodRun.start(model, method);
  run.phase = 'decode';
  const fork = prompt.fork();
  const tokens: Tensor[] = [];
  try {
    let next: Tensor = gpu.tensor([lastToken], [1], 'u32');
    tokens.push(next);
    for (let step = 0; step < answerTokens; step++) {
      next = gpu.tidy(() => {
        const { logits } = model.forward(next, { cache: fork.kv, run });
        return sampleToken(logits as Tensor, { temperature: 0 });
      });
      tokens.push(next);
    }
    const ids = await gpu.read(tokens.slice(1));
    return model.tokenizer.decode(ids.map(([id]) => id as number));
  } finally {
    for (const token of tokens) token.dispose();
    fork.dispose();
    run.dispose();
  }
}

function accuracyOf(measured: Measured): number {
  const { accuracy } = measured.quality;
  return typeof accuracy === 'object' && 'value' in accuracy ? accuracy.value : 0;
}
