// Run by language/first-token in a process of its own, so that nothing is compiled yet: <model> <prompt tokens> <start>.
import { openGpu } from '@saccade/core';
import { loadLanguageModel } from '@saccade/models';

/** What is printed, as JSON. */
export interface FirstToken {
  /** 0 without a warm-up. */
  readonly warmUpMs: number;
  readonly firstTokenMs: number;
  /** Compiled by the end. */
  readonly pipelines: number;
}

const [name, tokens, start] = process.argv.slice(2) as [string, string, string];
const gpu = await openGpu();
const model = await loadLanguageModel(gpu, name, { onMessage: () => undefined });
const prompt = Array.from({ length: Number(tokens) }, (_, index) => 1 + (index % (model.facts.vocabularySize - 1)));
const times = [performance.now()];
if (start === 'after warmUp') await model.warmUp({ promptTokens: prompt.length });
times.push(performance.now());
for await (const _ of model.generate(prompt, { maxTokens: 1, ignoreEndOfText: true })) times.push(performance.now());
const [begin, warm, first] = times as [number, number, number];
const told: FirstToken = {
  warmUpMs: warm - begin,
  firstTokenMs: first - warm,
  pipelines: gpu.stats().pipelinesCreated,
};
console.log(JSON.stringify(told));
model.dispose();
gpu.dispose();
