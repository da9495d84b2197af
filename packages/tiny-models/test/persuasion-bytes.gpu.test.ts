import { readFileSync } from 'node:fs';
import { assertClose, parseGoldenTensors, sharedGpu } from '@saccade/core/testing';
import { type LanguageModel, perplexity } from '@saccade/models';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { loadTinyModel, persuasionBytes } from '../src/index.ts';
import { bigramModel } from './bigram.ts';
import { passages, volumes } from './novel.ts';

interface TrainingLog {
  readonly parameters: number;
  readonly trainingBytes: number;
  readonly heldOut: { readonly passages: number; readonly bytes: number; readonly perplexity: number };
}

const near = (path: string) => readFileSync(new URL(path, import.meta.url));
const log = JSON.parse(near('../checkpoints/persuasion-bytes/training-log.json').toString()) as TrainingLog;

let model: LanguageModel;
beforeAll(async () => {
  model = await loadTinyModel(await sharedGpu(), persuasionBytes);
});
afterAll(() => model.dispose());

it("has PyTorch's logits", async () => {
  const golden = parseGoldenTensors(near('golden/persuasion-bytes.safetensors'));
  const logits = await model.logits([...golden('input_ids').data]);
  assertClose(await logits.read(), golden('logits').data, { absolute: 2e-4, relative: 1e-4 });
  logits.dispose();
});

it('takes bytes for tokens', () => {
  const { tokenizer } = model;
  const text = 'Größe 🦊\n\0\x7f';
  expect(tokenizer.encode(text)).toEqual([...new TextEncoder().encode(text)]);
  expect(tokenizer.decode(tokenizer.encode(text))).toBe(text);
  expect(tokenizer.vocabularySize).toBe(256);
});

it('has the logged perplexity on the held-out volume, far below that of a bigram model', async () => {
  const { first, second } = volumes();
  const heldOut = passages(first, log.heldOut.passages, log.heldOut.bytes);
  const losses: number[] = [];
  for (const ids of heldOut) losses.push(...(await perplexity(model, ids)).losses);
  const own = perplexityOf(losses);
  expect(Math.abs(own / log.heldOut.perplexity - 1)).toBeLessThan(1e-4);

  const bigram = bigramModel(second.subarray(0, log.trainingBytes));
  const bigramLosses = heldOut.flatMap((ids) => ids.slice(1).map((byte, index) => bigram(ids[index] as number, byte)));
  expect(bigramLosses).toHaveLength(losses.length);
  expect(own).toBeLessThan(0.5 * perplexityOf(bigramLosses));
});

it('goes on with a text in words', async () => {
  let text = '';
  for await (const piece of model.generate('Anne was ', { maxTokens: 40 })) text += piece.text;
  expect(text).toHaveLength(40);
  expect(text).toMatch(/^[a-z]+ [a-z]+/);
});

function perplexityOf(losses: readonly number[]): number {
  return Math.exp(losses.reduce((sum, loss) => sum + loss, 0) / losses.length);
}
