import { readFileSync } from 'node:fs';
import { seededRandom } from '@saccade/core/testing';
import { describe, expect, it } from 'vitest';
import { ggufTokenizer } from '../src/tokenizer/gguf/gguf-tokenizer.ts';
import { HuggingFaceTokenizer } from '../src/tokenizer/huggingface-tokenizer.ts';
import { loadTokenizer } from '../src/tokenizer/load-tokenizer.ts';
import { type Tokenizer, TokenizerError } from '../src/tokenizer/types.ts';
import { openWeights } from '../src/weights/open-weights.ts';
import { readModelConfig } from '../src/weights/read-model-config.ts';
import type { MetadataValue } from '../src/weights/types.ts';
import { goldenModel, goldenPath } from './golden-folder.ts';
import { metadataFile } from './metadata-file.ts';
import { realModel } from './real-model.ts';

interface GoldenIds {
  readonly rows: readonly (readonly [text: string, ids: readonly number[], decoded?: string])[];
}

const readGolden = <T>(name: string): T => JSON.parse(readFileSync(goldenPath(name), 'utf8')) as T;
const smallGolden = readGolden<GoldenIds>('small-tokenizer/ids.json');
const smallJson = readGolden<Readonly<Record<string, unknown>>>('small-tokenizer/tokenizer.json');

const smallTokenizer = () =>
  new HuggingFaceTokenizer({
    tokenizer: smallJson,
    specialTexts: { eos: '<|im_end|>' },
    endOfTextIds: [2],
    chatTemplate: undefined,
  });

async function loadFrom(files: Awaited<ReturnType<typeof goldenModel>>): Promise<Tokenizer> {
  const weights = await openWeights(files);
  try {
    return await loadTokenizer(weights, await readModelConfig(weights, files), files);
  } finally {
    await weights.close();
  }
}

/** Ids and decoded texts equal Hugging Face's on every text. */
function expectGolden(tokenizer: Tokenizer, golden: GoldenIds): void {
  expect(golden.rows).toHaveLength(200);
  for (const [text, ids, decoded = text] of golden.rows) {
    expect(tokenizer.encode(text), JSON.stringify(text)).toEqual(ids);
    expect(tokenizer.decode(ids, { skipSpecialTokens: false }), JSON.stringify(text)).toBe(decoded);
  }
}

function streamed(tokenizer: Tokenizer, ids: readonly number[]): string {
  const stream = tokenizer.decodeStream({ skipSpecialTokens: false });
  return ids.map((id) => stream.push(id)).join('') + stream.end();
}

describe('a small byte-level BPE', () => {
  it("has Hugging Face's ids on 200 texts, from tokenizer.json", () => {
    expectGolden(smallTokenizer(), smallGolden);
  });

  it('has the same ids from the metadata of a GGUF file', async () => {
    const tokenizer = await loadFrom(await goldenModel('llama-gguf/model.gguf'));
    expectGolden(tokenizer, smallGolden);
    expect(tokenizer.vocabularySize).toBe(700);
    expect(tokenizer.specialTokens).toEqual({ bos: 1, eos: 2 });
    expect(tokenizer.endOfTextIds).toEqual([2]);
  });

  it('leaves special tokens out when asked to', () => {
    const tokenizer = smallTokenizer();
    const ids = tokenizer.encode('<|im_start|>Hello<|im_end|>');
    expect(tokenizer.decode(ids)).toBe('Hello');
    expect(tokenizer.decode([])).toBe('');
    expect(tokenizer.decode([1, 2])).toBe('');
    expect(tokenizer.decode([1, 2], { skipSpecialTokens: false })).toBe('<|im_start|><|im_end|>');
  });

  it('renders the chat template of a GGUF file', async () => {
    const tokenizer = await loadFrom(await goldenModel('llama-gguf/model.gguf'));
    const messages = [
      { role: 'user', content: 'a' },
      { role: 'assistant', content: 'b' },
    ];
    const text = '<|im_start|>user\na<|im_end|>\n<|im_start|>assistant\nb<|im_end|>\n';
    expect(tokenizer.applyChatTemplate(messages)).toBe(text);
    expect(tokenizer.applyChatTemplate(messages, { addGenerationPrompt: true })).toBe(`${text}<|im_start|>assistant\n`);
  });

  it('without a chat template says so', () => {
    expect(() => smallTokenizer().applyChatTemplate([{ role: 'user', content: 'a' }])).toThrow(TokenizerError);
  });

  it('puts the first token where the GGUF file asks for it', async () => {
    const files = await goldenModel('llama-gguf/model.gguf');
    const weights = await openWeights(files);
    const metadata = new Map([...weights.metadata, ['tokenizer.ggml.add_bos_token', true] as const]);
    const tokenizer = ggufTokenizer({ ...weights, metadata }, [2]);
    expect(tokenizer.encode('a')).toEqual([1, ...tokenizer.encode('a', { addSpecialTokens: false })]);
    await weights.close();
  });
});

describe('decoding one token at a time', () => {
  it('gives the text of all at once, and never half a character', () => {
    const tokenizer = smallTokenizer();
    for (const [, ids, decoded] of smallGolden.rows) {
      const stream = tokenizer.decodeStream({ skipSpecialTokens: false });
      const pieces = [...ids.map((id) => stream.push(id)), stream.end()];
      const text = tokenizer.decode(ids, { skipSpecialTokens: false });
      expect(pieces.join('')).toBe(decoded ?? text);
      if (!text.includes('\ufffd')) for (const piece of pieces) expect(piece).not.toContain('\ufffd');
      for (const piece of pieces) expect(piece).not.toMatch(/\p{Surrogate}/u);
    }
  });

  it('agrees with decoding at once on random ids, which are seldom sound UTF-8', () => {
    const tokenizer = smallTokenizer();
    const random = seededRandom(3);
    for (let round = 0; round < 200; round++) {
      const ids = Array.from({ length: 1 + Math.floor(random() * 20) }, () => Math.floor(random() * 700));
      expect(streamed(tokenizer, ids), ids.join()).toBe(tokenizer.decode(ids, { skipSpecialTokens: false }));
    }
  });

  it('emits text as soon as it is whole', () => {
    const tokenizer = smallTokenizer();
    const ids = tokenizer.encode('a🦊b');
    const stream = tokenizer.decodeStream();
    const pieces = ids.map((id) => stream.push(id));
    expect(pieces.filter((piece) => piece !== '')).toEqual(['a', '🦊', 'b']);
    expect(stream.end()).toBe('');
  });

  it('gives back bytes that form no character at the end', () => {
    const tokenizer = smallTokenizer();
    const [first] = tokenizer.encode('🦊');
    const stream = tokenizer.decodeStream();
    expect(stream.push(first as number)).toBe('');
    expect(stream.end()).toBe('\ufffd');
  });
});

describe('a GGUF file whose tokenizer cannot be used', () => {
  const sound: Readonly<Record<string, MetadataValue>> = {
    model: 'gpt2',
    pre: 'smollm',
    tokens: ['a', 'b', 'ab'],
    token_type: [1, 1, 1],
    merges: ['a b'],
  };
  const fileWith = (values: Readonly<Record<string, MetadataValue | undefined>>) =>
    metadataFile({ ...sound, ...values });

  it('is accepted where it is sound', () => {
    expect(ggufTokenizer(fileWith({}), []).encode('abb')).toEqual([2, 1]);
  });

  it.each([
    ['missing', 'no tokenizer', { model: undefined }],
    ['unsupported', '"rwkv"; supported: gpt2, llama, bert.', { model: 'rwkv' }],
    ['unsupported', '"nothing-known"; supported: gpt-2, ', { pre: 'nothing-known' }],
    ['unsupported', 'not named; supported: gpt-2, ', { pre: undefined }],
    ['missing', 'no tokens', { tokens: undefined }],
    ['invalid', 'tokens are not all texts', { tokens: ['a', 1, 'ab'] }],
    ['invalid', '3 tokens, but 1 values of token_type', { token_type: [1] }],
    ['invalid', 'token_type are not all numbers', { token_type: [1, 'a', 1] }],
    ['invalid', 'a merge is two tokens', { merges: ['a b c'] }],
    ['invalid', 'the merge "b a", but no token "ba"', { merges: ['b a'] }],
    ['missing', 'no scores', { model: 'llama' }],
    ['invalid', '3 tokens, but 2 values of scores', { model: 'llama', scores: [0, 0] }],
    ['missing', 'no unknown token', { model: 'bert' }],
    [
      'invalid',
      'a piece of 2000 characters',
      { model: 'llama', scores: [0, 0, 0], tokens: ['a', 'b', 'a'.repeat(2000)] },
    ],
  ])('is refused as %s: %s', (code, message, values) => {
    expect(() => ggufTokenizer(fileWith(values), [])).toThrow(
      expect.objectContaining({ name: 'TokenizerError', code, message: expect.stringContaining(message) }),
    );
  });

  it('is refused where tokenizer.json is of a kind whose ids are not known to be right', () => {
    const parts = { specialTexts: {}, endOfTextIds: [], chatTemplate: undefined };
    const unigram = { model: { type: 'Unigram', unk_id: 0, vocab: [['<unk>', 0]] } };
    expect(() => new HuggingFaceTokenizer({ ...parts, tokenizer: unigram })).toThrow(
      expect.objectContaining({
        code: 'unsupported',
        message: expect.stringContaining('"Unigram"; supported: BPE, WordPiece.'),
      }),
    );
  });

  it('is refused where tokenizer.json is not one', () => {
    const parts = { specialTexts: {}, endOfTextIds: [], chatTemplate: undefined };
    for (const tokenizer of [null, {}, { model: { type: 'nothing' } }]) {
      expect(() => new HuggingFaceTokenizer({ ...parts, tokenizer })).toThrow(TokenizerError);
    }
  });
});

describe('what a GGUF file leaves to the kind of tokenizer', () => {
  const common = { token_type: [3, 3, 1, 1], tokens: ['<s>', '</s>', 'a', 'b'], bos_token_id: 0, eos_token_id: 1 };
  const byteLevel = (values: Readonly<Record<string, MetadataValue>>) =>
    ggufTokenizer(metadataFile({ ...common, model: 'gpt2', merges: [], ...values }), [1]);

  it('is whether texts begin and end with a token, unless it says so', () => {
    expect(byteLevel({ pre: 'gpt-2' }).encode('ab')).toEqual([2, 3]);
    expect(byteLevel({ pre: 'gpt-2', add_bos_token: true, add_eos_token: true }).encode('ab')).toEqual([0, 2, 3, 1]);
    expect(byteLevel({ pre: 'llama-bpe' }).encode('ab')).toEqual([0, 2, 3]);
    expect(byteLevel({ pre: 'llama-bpe', add_bos_token: false }).encode('ab')).toEqual([2, 3]);
    expect(byteLevel({ pre: 'llama-bpe' }).encode('ab', { addSpecialTokens: false })).toEqual([2, 3]);
    const pieces = metadataFile({ ...common, model: 'llama', scores: [0, 0, 0, 0], add_space_prefix: false });
    expect(ggufTokenizer(pieces, []).encode('ab')).toEqual([0, 2, 3]);
  });

  it('names tokens that end a turn, which end an answer like those that end a text', () => {
    expect(byteLevel({ pre: 'gpt-2' }).endOfTextIds).toEqual([1]);
    expect(byteLevel({ pre: 'gpt-2', eot_token_id: 3, eom_token_id: 1 }).endOfTextIds).toEqual([1, 3]);
  });
});

const real = await realModel();
const realTokenizer = real && (await loadFrom(real));

describe.skipIf(!realTokenizer)('the tokenizer of SmolLM2 in its GGUF file', () => {
  const tokenizer = realTokenizer as Tokenizer;

  it("has Hugging Face's ids on 200 texts", () => {
    expectGolden(tokenizer, readGolden<GoldenIds>('smollm2-tokenizer.json'));
    expect(tokenizer.vocabularySize).toBe(49152);
  });

  it('renders conversations as Hugging Face does', () => {
    interface GreedyPrompt {
      readonly messages: { role: string; content: string }[];
      readonly text: string;
      readonly promptIds: number[];
    }
    const { prompts } = readGolden<{ readonly prompts: readonly GreedyPrompt[] }>('smollm2-greedy.json');
    expect(prompts).toHaveLength(3);
    for (const { messages, text, promptIds } of prompts) {
      expect(tokenizer.applyChatTemplate(messages, { addGenerationPrompt: true })).toBe(text);
      expect(tokenizer.encode(text, { addSpecialTokens: false })).toEqual(promptIds);
    }
  });

  it('encodes 20,000 characters in less than a second', () => {
    const golden = readGolden<GoldenIds>('smollm2-tokenizer.json');
    const all = golden.rows.map(([text]) => text).join(' ');
    const text = all.repeat(Math.ceil(20_000 / all.length)).slice(0, 20_000);
    const start = performance.now();
    const ids = tokenizer.encode(text);
    expect(performance.now() - start).toBeLessThan(1000);
    expect(ids.length).toBeGreaterThan(4000);
    const word = performance.now();
    tokenizer.encode('a'.repeat(20_000));
    expect(performance.now() - word).toBeLessThan(1000);
  });
});
