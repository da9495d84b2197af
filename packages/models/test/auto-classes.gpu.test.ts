import { RefusedError } from '@saccade/core';
import { sharedGpu } from '@saccade/core/testing';
import { describe, expect, it } from 'vitest';
import { AutoModelForCausalLM, AutoModelForMaskedLM, AutoTokenizer, ModelNotFoundError } from '../src/index.ts';
import { goldenPath } from './golden-folder.ts';

const file = goldenPath('llama-gguf/model.gguf');

describe('fromPretrained', () => {
  it('loads a causal model with its tokenizer, in the type that is asked for', async () => {
    const gpu = await sharedGpu();
    const model = await AutoModelForCausalLM.fromPretrained(file, { gpu });
    const wide = await AutoModelForCausalLM.fromPretrained(file, { gpu, dtype: 'float32', localFilesOnly: true });
    expect(wide.weightBytes).toBeGreaterThan(3 * model.weightBytes);
    let text = '';
    for await (const piece of model.generate('Hello', { maxTokens: 4, ignoreEndOfText: true })) text += piece.text;
    expect(text.length).toBeGreaterThan(0);
    const tokenizer = await AutoTokenizer.fromPretrained(file);
    expect(tokenizer.encode('Hello there')).toEqual(model.tokenizer.encode('Hello there'));
    model.dispose();
    wide.dispose();
  });

  it('tells the two directions apart', async () => {
    const gpu = await sharedGpu();
    await expect(AutoModelForMaskedLM.fromPretrained(file, { gpu })).rejects.toThrow(RefusedError);
    await expect(AutoModelForMaskedLM.fromPretrained(file, { gpu })).rejects.toThrow(/AutoModelForCausalLM/);
  });

  it('asks no network where that is said', async () => {
    const lost = AutoTokenizer.fromPretrained('nobody/nothing', { localFilesOnly: true });
    await expect(lost).rejects.toThrow(ModelNotFoundError);
    await expect(lost).rejects.toThrow(/hub: not asked for/);
  });
});
