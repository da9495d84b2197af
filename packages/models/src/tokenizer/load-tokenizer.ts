import type { ModelFiles } from '../resolve/types.ts';
import { readJson, readOptionalJson } from '../weights/json-file.ts';
import type { TransformerConfig } from '../weights/model-config.ts';
import type { WeightFile } from '../weights/types.ts';
import { ggufTokenizer } from './gguf/gguf-tokenizer.ts';
import { HuggingFaceTokenizer } from './huggingface-tokenizer.ts';
import { type SpecialTokens, type Tokenizer, TokenizerError } from './types.ts';

/**
 * The tokenizer of a model: from `tokenizer.json` and `tokenizer_config.json` beside the weights, else from a GGUF file's
 * metadata.
 * @throws TokenizerError, WeightFileError
 */
export async function loadTokenizer(
  weights: WeightFile,
  config: TransformerConfig,
  files: ModelFiles,
): Promise<Tokenizer> {
  if (files.names.includes('tokenizer.json')) return tokenizerFromFiles(config, files);
  if (weights.format === 'gguf') return ggufTokenizer(weights, config.eosIds);
  throw new TokenizerError('missing', `${files.location} has no tokenizer.json beside its safetensors file.`);
}

async function tokenizerFromFiles(config: TransformerConfig, files: ModelFiles): Promise<Tokenizer> {
  const settings = asRecord(await readOptionalJson(files, 'tokenizer_config.json'));
  const specialTexts: Partial<Record<keyof SpecialTokens, string>> = {};
  for (const role of ['bos', 'eos', 'pad', 'unk'] as const) {
    const text = tokenText(settings[`${role}_token`]);
    if (text !== undefined) specialTexts[role] = text;
  }
  return new HuggingFaceTokenizer({
    tokenizer: await readJson(files, 'tokenizer.json'),
    specialTexts,
    endOfTextIds: config.eosIds,
    chatTemplate:
      (await templateFile(files)) ??
      templateText(settings.chat_template) ??
      templateText(asRecord(await readOptionalJson(files, 'chat_template.json')).chat_template),
  });
}

/** Newer checkpoints have the chat template in a file of its own. */
async function templateFile(files: ModelFiles): Promise<string | undefined> {
  if (!files.names.includes('chat_template.jinja')) return undefined;
  const source = await files.open('chat_template.jinja');
  try {
    return new TextDecoder().decode(await source.read(0, source.size));
  } finally {
    await source.close();
  }
}

/** A template as text, or the default one of several named ones. */
function templateText(value: unknown): string | undefined {
  if (typeof value === 'string') return value;
  if (!Array.isArray(value)) return undefined;
  const named = value.map(asRecord).find((entry) => entry.name === 'default');
  return typeof named?.template === 'string' ? named.template : undefined;
}

/** A special token is given as text or as an object with its content. */
function tokenText(value: unknown): string | undefined {
  const text = typeof value === 'object' ? asRecord(value).content : value;
  return typeof text === 'string' ? text : undefined;
}

function asRecord(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? (value as Readonly<Record<string, unknown>>) : {};
}
