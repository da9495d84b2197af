import { readFileSync } from 'node:fs';
import type { Tensor } from '@saccade/core';
import { assertClose, sharedGpu } from '@saccade/core/testing';
import { afterAll, beforeAll, describe, expect, it, type TestContext } from 'vitest';
import { type LanguageModel, loadLanguageModel, ModelNotFoundError } from '../src/index.ts';

interface GoldenPrompt {
  readonly text: string;
  readonly promptIds: readonly number[];
  readonly greedyIds: readonly number[];
  /** The five highest logits of each step. */
  readonly steps: readonly { readonly ids: readonly number[]; readonly logits: readonly number[] }[];
}

const golden = JSON.parse(readFileSync(new URL('./golden/gemma3-270m-greedy.json', import.meta.url), 'utf8')) as {
  readonly prompts: readonly GoldenPrompt[];
};

let model: LanguageModel | undefined;
let missing = '';
const messages: string[] = [];

beforeAll(async () => {
  try {
    model = await loadLanguageModel(await sharedGpu(), 'google/gemma-3-270m', {
      onMessage: (line) => messages.push(line),
    });
  } catch (error) {
    if (!ModelNotFoundError.isInstance(error)) throw error;
    missing = error.message;
  }
}, 300_000);

afterAll(() => model?.dispose());

function loaded(context: TestContext): LanguageModel {
  if (!model) context.skip(`The weights cannot be had: ${missing}`);
  return model as LanguageModel;
}

/** The golden logits of one step, and its token where the two best are not closer than rounding. */
function compare(row: Float32Array, prompt: GoldenPrompt, step: number): void {
  const { ids, logits } = prompt.steps[step] as GoldenPrompt['steps'][number];
  const own = ids.map((id) => row[id] as number);
  assertClose(own, logits, { absolute: 2e-3, name: `top logits of step ${step}` });
  const best = row.reduce((top, value, id) => (value > (row[top] as number) ? id : top), 0);
  if ((logits[0] as number) - (logits[1] as number) > 1e-3) expect(best).toBe(ids[0]);
}

describe('Gemma 3 270M out of its GGUF parts, in the types of its file (Q4_K, Q5_0, Q6_K, Q8_0)', () => {
  it('names its licence', (context) => {
    const { licence } = loaded(context);
    expect(licence).toEqual({ name: 'gemma', url: 'https://ai.google.dev/gemma/terms' });
    expect(messages).toContain('google/gemma-3-270m: licence gemma (https://ai.google.dev/gemma/terms)');
  });

  it.for([0, 2])('prompt %i: the greedy tokens are those of transformers', async (index, context) => {
    const prompt = golden.prompts[index] as GoldenPrompt;
    const gemma = loaded(context);
    expect(gemma.encodePrompt(prompt.text)).toEqual(prompt.promptIds);
    const count = prompt.promptIds.length;
    const logits = await gemma.logits([...prompt.promptIds, ...prompt.greedyIds.slice(0, -1)]);
    const rows = (await logits.read()) as Float32Array;
    logits.dispose();
    const { vocabularySize } = gemma.facts;
    for (let step = 0; step < prompt.steps.length; step++) {
      const at = (count - 1 + step) * vocabularySize;
      compare(rows.subarray(at, at + vocabularySize), prompt, step);
    }
  });

  it('says the same token by token', async (context) => {
    const gemma = loaded(context);
    const [prompt] = golden.prompts as [GoldenPrompt];
    const cache = await gemma.prefill(prompt.promptIds, { reserve: 16 });
    let logits = cache.nextLogits.alias();
    for (let step = 0; step < 4; step++) {
      compare((await logits.read()) as Float32Array, prompt, step);
      logits.dispose();
      const next = gemma.forward([prompt.greedyIds[step] as number], { cache: cache.kv });
      next.hidden.dispose();
      logits = gemma.gpu.keep(next.logits as Tensor);
    }
    logits.dispose();
    cache.dispose();
  });
});
