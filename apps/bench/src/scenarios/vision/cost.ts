import { type EncodedPrompt, summarizeTimings } from '@saccade/core';
import type { VisionLanguageModel } from '@saccade/models';
import { describeQuestion, heldOutSample, renderScene } from '@saccade/tiny-models';
import { cacheMemory } from '../../measure/cache-memory.ts';
import { type InterleavedTimes, interleave, speedup } from '../../measure/interleave.ts';
import type { ImageQuestion } from '../../method-entry.ts';
import type { ResultRow } from '../../result-file/types.ts';
import type { Scenario, ScenarioContext, Variant } from '../../scenario.ts';
import { generateAnswer } from './answers.ts';
import { promptTokens, visionModel } from './vision-model.ts';

/** Tokens that are decoded behind the first. */
const decoded = 16;

/** `vision/cost`: what methods cost over greedy decoding. */
export const visionCost: Scenario = {
  name: 'vision/cost',
  title: 'Cost of an answer',
  description:
    `A scene of level 3 is described: time from the encoded prompt to the first token, then per token over ${decoded} more, alternately for all methods; a repeat is one ` +
    'run of each. Of procedures, which run the model as they like, the first time is that of a whole answer of one token, images included. Cache bytes are those behind the prompt; ' +
    'speed-up is that of the first time over greedy decoding.',
  needs: 'vision',
  phases: ['prefill', 'decode'],
  lengths: { full: [promptTokens], quick: [promptTokens] },
  budgets: { full: [0.25, 0.5], quick: [0.5] },
  repeats: { full: 10, quick: 3 },
  async *run(context) {
    const model = visionModel(context);
    const { scene } = heldOutSample(3, 0, 'objects', context.seed);
    const question = { image: renderScene(scene), text: describeQuestion };
    const prompt = await model.encode({ images: [question.image], text: question.text });
    try {
      yield* timeVariants(context, model, question, prompt);
    } finally {
      prompt.dispose();
    }
  },
};

/** A variant that ran once without being refused. */
interface Timed {
  readonly variant: Variant;
  readonly name: string;
  readonly memory: ResultRow['memory'];
}

async function* timeVariants(
  context: ScenarioContext,
  model: VisionLanguageModel,
  question: ImageQuestion,
  prompt: EncodedPrompt,
): AsyncGenerator<ResultRow> {
  const { signal, progress, repeats } = context;
  const timed: Timed[] = [];
  const variants = context.variants(promptTokens);
  progress.total(variants.length * (2 * repeats + 4));
  for (const [index, variant] of variants.entries()) {
    const row = await context.measure(variant, {}, async () => {
      const memory = variant.answer ? {} : await memoryBehindPrompt(model, prompt, variant);
      timed.push({ variant, name: `${index}`, memory });
      return { samples: 0, density: null, quality: {}, speed: {}, memory };
    });
    if (row.status !== 'ok') yield row;
  }
  const run = (variant: Variant, maxTokens: number) =>
    variant.answer
      ? variant.answer(model, question, { maxTokens, signal })
      : generateAnswer(model, prompt, variant.create(), { maxTokens, signal });
  const both = [1, 1 + decoded] as const;
  const times = await interleave(
    timed.flatMap(({ variant, name }) =>
      both.map((maxTokens) => ({
        name: `${name}:${maxTokens}`,
        run: async () => {
          await run(variant, maxTokens);
          await model.gpu.synchronize();
          progress.advance(1, variant.entry.name);
          return undefined;
        },
      })),
    ),
    { rounds: repeats, warmUp: 2, signal },
  );
  const timesOf = (name: string, maxTokens: number) => times.get(`${name}:${maxTokens}`) as InterleavedTimes;
  const dense = timesOf('0', 1);
  for (const { variant, name, memory } of timed) {
    const [short, long] = [timesOf(name, 1), timesOf(name, 1 + decoded)];
    const perToken = long.samples.map((time, round) => Math.max(time - (short.samples[round] as number), 0) / decoded);
    yield await context.measure(variant, {}, async () => ({
      samples: repeats,
      density: null,
      quality: {},
      speed: {
        prefillMs: short.summary,
        ...(variant.answer ? {} : { decodeMsPerToken: summarizeTimings(perToken) }),
        ...(short === dense ? {} : { speedup: speedup(dense, short) }),
      },
      memory,
    }));
  }
}

async function memoryBehindPrompt(model: VisionLanguageModel, prompt: EncodedPrompt, variant: Variant) {
  model.gpu.resetPeak();
  const read = await model.prefill(prompt, { method: variant.create(), reserve: 0 });
  try {
    await model.gpu.synchronize();
    return { ...cacheMemory(read.kv, model.facts), peakBytes: model.gpu.stats().peakBytes };
  } finally {
    read.dispose();
  }
}
