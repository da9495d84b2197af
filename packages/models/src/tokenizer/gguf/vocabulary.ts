import type { MetadataValue, WeightFile } from '../../weights/types.ts';
import { type SpecialTokens, TokenizerError } from '../types.ts';

/** What GGUF's token types mean. */
export const tokenType = { normal: 1, unknown: 2, control: 3, userDefined: 4, unused: 5, byte: 6 } as const;

/** Where the metadata has the ids of tokens with a role. */
const roleKeys = {
  bos: 'bos_token_id',
  eos: 'eos_token_id',
  pad: 'padding_token_id',
  unk: 'unknown_token_id',
  cls: 'cls_token_id',
  // Spelt like this in the format.
  sep: 'seperator_token_id',
} as const;

/** A text, a truth value and so on, of the metadata's `tokenizer.ggml.*`. */
type Get = (name: string) => MetadataValue | undefined;

/** A value of the metadata for an error's message. */
export function shown(value: MetadataValue): string {
  return typeof value === 'string' ? JSON.stringify(value) : String(value);
}

/** The tokens of a GGUF file and what its metadata says about them. */
export class GgufVocabulary {
  readonly tokens: readonly string[];
  /** {@link tokenType} of each token. */
  readonly types: readonly number[];
  readonly get: Get;

  /** @throws TokenizerError `missing` or `invalid` */
  constructor(file: WeightFile) {
    this.get = (name) => file.metadata.get(`tokenizer.ggml.${name}`);
    this.tokens = this.texts('tokens');
    this.types = this.#numbers('token_type');
  }

  /** Texts that the metadata must have, such as `merges`. */
  texts(name: string): string[] {
    return this.#list(name, 'texts', (item) => typeof item === 'string') as string[];
  }

  /** Log-probabilities or ranks of the tokens. */
  scores(): readonly number[] {
    return this.#numbers('scores');
  }

  /** Text of the token with a role, where the metadata names its id. */
  roleText(role: keyof typeof roleKeys): string | undefined {
    const id = this.get(roleKeys[role]);
    return typeof id === 'number' ? this.tokens[id] : undefined;
  }

  /** Texts of the roles that tokenizers name. */
  specialTexts(): Partial<Record<keyof SpecialTokens, string>> {
    const found: Partial<Record<keyof SpecialTokens, string>> = {};
    for (const role of ['bos', 'eos', 'pad', 'unk'] as const) {
      const text = this.roleText(role);
      if (text !== undefined) found[role] = text;
    }
    return found;
  }

  /** A truth value with its default. */
  flag(name: string, otherwise: boolean): boolean {
    const value = this.get(name);
    return typeof value === 'boolean' ? value : otherwise;
  }

  /** Ids of tokens that end a turn or a message, where they differ from the end of a text. */
  turnEnds(): number[] {
    return ['eot_token_id', 'eom_token_id'].flatMap((name) => {
      const id = this.get(name);
      return typeof id === 'number' ? [id] : [];
    });
  }

  /** Ids by text. */
  ids(texts: readonly string[] = this.tokens): Map<string, number> {
    return new Map(texts.map((text, id) => [text, id]));
  }

  #numbers(name: string): number[] {
    const numbers = this.#list(name, 'numbers', (item) => typeof item === 'number') as number[];
    if (numbers.length !== this.tokens.length) {
      throw new TokenizerError(
        'invalid',
        `The GGUF file has ${this.tokens.length} tokens, but ${numbers.length} values of ${name}.`,
      );
    }
    return numbers;
  }

  #list(name: string, what: string, fits: (item: unknown) => boolean): unknown[] {
    const value = this.get(name);
    if (!Array.isArray(value)) throw new TokenizerError('missing', `The GGUF file has no ${name} of its tokenizer.`);
    if (!value.every(fits)) throw new TokenizerError('invalid', `The GGUF file's ${name} are not all ${what}.`);
    return value;
  }
}
