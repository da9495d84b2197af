import { readFileSync } from 'node:fs';
import type { ChatMessage, Tensor } from '@saccade/core';
import { assertClose, sharedGpu } from '@saccade/core/testing';
import { afterAll, beforeAll, describe, expect, it, type TestContext } from 'vitest';
import { type LanguageModel, loadLanguageModel, ModelNotFoundError, perplexity } from '../src/index.ts';

interface GoldenPrompt {
  readonly messages: readonly ChatMessage[];
  readonly promptIds: readonly number[];
  readonly greedyIds: readonly number[];
  /** The five highest logits of each step. */
  readonly steps: readonly { readonly ids: readonly number[]; readonly logits: readonly number[] }[];
}

const golden = JSON.parse(readFileSync(new URL('./golden/smollm2-greedy.json', import.meta.url), 'utf8')) as {
  readonly prompts: readonly GoldenPrompt[];
};

let model: LanguageModel | undefined;
let missing = '';

beforeAll(async () => {
  try {
    model = await loadLanguageModel(await sharedGpu(), 'HuggingFaceTB/SmolLM2-135M-Instruct');
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

describe('SmolLM2-135M-Instruct', () => {
  golden.prompts.forEach((prompt, index) => {
    it(`prompt ${index + 1}: 32 greedy tokens are those of transformers on the file’s weights in f32`, async (context) => {
      const smollm = loaded(context);
      expect(smollm.encodePrompt(prompt.messages)).toEqual(prompt.promptIds);
      const cache = await smollm.prefill(prompt.promptIds, { reserve: 64 });
      let logits = cache.nextLogits.alias();
      for (const [step, { ids, logits: expected }] of prompt.steps.entries()) {
        const row = (await logits.read()) as Float32Array;
        logits.dispose();
        assertClose(
          ids.map((id) => row[id] as number),
          expected,
          { absolute: 2e-3, name: `top logits of step ${step}` },
        );
        const best = row.reduce((top, value, id) => (value > (row[top] as number) ? id : top), 0);
        // Where the two best are closer than rounding, the logits were compared and the token may be either.
        if ((expected[0] as number) - (expected[1] as number) > 1e-3) expect(best).toBe(ids[0]);
        const next = smollm.forward([prompt.greedyIds[step] as number], { cache: cache.kv });
        next.hidden.dispose();
        logits = smollm.gpu.keep(next.logits as Tensor);
      }
      logits.dispose();
      cache.dispose();
    });
  });

  it('streams the same answer through generate', async (context) => {
    const smollm = loaded(context);
    const [prompt] = golden.prompts;
    const ids: number[] = [];
    let text = '';
    for await (const piece of smollm.generate(prompt?.messages ?? [], { maxTokens: 32 })) {
      ids.push(...piece.ids);
      text += piece.text;
    }
    const end = (prompt?.greedyIds.findIndex((id) => smollm.tokenizer.endOfTextIds.includes(id)) ?? -1) + 1;
    expect(ids).toEqual(prompt?.greedyIds.slice(0, end || 32));
    expect(text).toBe(smollm.tokenizer.decode(ids, { skipSpecialTokens: true }));
  });

  it('finds English prose more probable than shuffled words', async (context) => {
    const smollm = loaded(context);
    const prose = 'The sun rose over the hills, and the birds began to sing in the trees beside the quiet river.';
    const words = prose.split(' ').sort().join(' ');
    const [likely, unlikely] = [
      await perplexity(smollm, smollm.tokenizer.encode(prose)),
      await perplexity(smollm, smollm.tokenizer.encode(words)),
    ];
    expect(likely.perplexity).toBeLessThan(40);
    expect(unlikely.perplexity).toBeGreaterThan(5 * likely.perplexity);
  });
});
