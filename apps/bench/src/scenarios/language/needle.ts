import { type Method, MethodRun, type PromptCache, sampleToken, type Tensor, wilsonInterval } from '@saccade/core';
import type { LanguageModel } from '@saccade/models';
import { cacheMemory } from '../../measure/cache-memory.ts';
import { DensityMeter } from '../../measure/density.ts';
import { actsOnPrompt, goOnFrom } from '../../measure/prompt-methods.ts';
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
    'Ten sentences that give a city a number are hidden at even depths of a novel. The haystack and the question run densely once (by ' +
    'methods that act on them, with them); each method decodes the question’s last token and the answer. Where the dense model finds fewer than 8 of 10, rows say so.',
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

/** A question about a haystack. */
interface Asked {
  /** Everything before the question's last token, run densely. */
  readonly prompt: PromptCache;
  /** The question, its last token apart. */
  readonly question: readonly number[];
  readonly lastToken: number;
  readonly answer: string;
}

/** A haystack with its questions. */
interface Haystack {
  readonly ids: readonly number[];
  readonly asked: readonly Asked[];
}

async function* measureLength(
  context: ScenarioContext,
  model: LanguageModel,
  length: number,
): AsyncGenerator<ResultRow> {
  const variants = context.variants(length);
  context.progress.total(context.repeats + variants.length);
  const haystacks: Haystack[] = [];
  try {
    for (let repeat = 0; repeat < context.repeats; repeat++) {
      context.progress.advance(1, `haystack ${repeat + 1} of ${context.repeats}, ${length} tokens`);
      haystacks.push(await ask(model, needleTask(model, length, context.seed + repeat), context.signal));
    }
    let denseFails = false;
    for (const variant of variants) {
      context.progress.advance(1, `${variant.entry.name}, ${length} tokens`);
      const row = await context.measure(variant, { contextLength: length }, async () => {
        const measured = await answerAll(context, model, haystacks, variant);
        if (variant.entry.name === 'dense') denseFails = accuracyOf(measured) < leastDenseAccuracy;
        return denseFails
          ? { ...measured, status: 'dense fails' as const, message: 'the dense model finds fewer than 8 of 10' }
          : measured;
      });
      yield row;
    }
  } finally {
    for (const { prompt } of haystacks.flatMap(({ asked }) => asked)) prompt.dispose();
  }
}

/** Runs the haystack once and every question but its last token behind a fork of it, densely. */
async function ask(model: LanguageModel, task: NeedleTask, signal: AbortSignal): Promise<Haystack> {
  const haystack = await model.prefill(task.ids, { reserve: 64, signal });
  try {
    const asked: Asked[] = [];
    for (const needle of task.needles) {
      signal.throwIfAborted();
      const ids = model.tokenizer.encode(question(needle));
      const [tokens, lastToken] = [ids.slice(0, -1), ids.at(-1) as number];
      asked.push({ prompt: await model.extend(haystack, tokens), question: tokens, lastToken, answer: needle.answer });
    }
    return { ids: task.ids, asked };
  } finally {
    haystack.dispose();
  }
}

async function answerAll(
  context: ScenarioContext,
  model: LanguageModel,
  haystacks: readonly Haystack[],
  variant: Variant,
): Promise<Measured> {
  const meter = new DensityMeter();
  const all = haystacks.flatMap(({ asked }) => asked);
  let found = 0;
  for (const haystack of haystacks) {
    const texts = await answersFor(model, haystack, variant.create(), meter, context.signal);
    found += haystack.asked.filter((item, index) => texts[index]?.includes(item.answer)).length;
  }
  return {
    samples: all.length,
    ...meter.densities,
    quality: { accuracy: wilsonInterval(found, all.length) },
    speed: {},
    memory: cacheMemory(all[0]?.prompt.kv, model.facts),
  };
}

/** The answers to all questions about one haystack. */
async function answersFor(
  model: LanguageModel,
  { ids, asked }: Haystack,
  method: Method | undefined,
  meter: DensityMeter,
  signal: AbortSignal,
): Promise<string[]> {
  const texts: string[] = [];
  if (!method || !actsOnPrompt(method)) {
    for (const item of asked) {
      signal.throwIfAborted();
      texts.push(await answer(model, item.prompt, [], item.lastToken, meter.behind(method)));
    }
    return texts;
  }
  const run = await MethodRun.start(model, method, { signal });
  let read: PromptCache | undefined;
  try {
    read = await model.prefillWith(run, ids, { reserve: 64, signal });
    const follower = goOnFrom(method, run.stateOf(method));
    for (const item of asked) {
      signal.throwIfAborted();
      texts.push(await answer(model, read, item.question, item.lastToken, meter.behind(follower)));
    }
    return texts;
  } finally {
    read?.dispose();
    run.dispose();
  }
}

/**
 * Greedy answer behind a prompt, decoded with the methods from the question's last token on. Where the question is not a
 * part of the prompt yet, it runs first, whole, so that methods which watch prompts see all of it; its last token is then
 * taken back and decoded as for every method. Tokens stay on the GPU until the end.
 */
async function answer(
  model: LanguageModel,
  prompt: PromptCache,
  question: readonly number[],
  lastToken: number,
  methods: readonly Method[],
): Promise<string> {
  const { gpu } = model;
  const run = await MethodRun.start(model, methods);
  const fork = prompt.fork();
  const tokens: Tensor[] = [];
  try {
    if (question.length > 0) {
      run.phase = 'prefill';
      model.forward([...question, lastToken], { cache: fork.kv, run, logits: 'none' }).hidden.dispose();
      fork.kv.truncate(fork.kv.length - 1);
    }
    run.phase = 'decode';
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
