import type { Tokenizer as Backend } from '@huggingface/tokenizers';
import type { ChatMessage, ImageMessage } from '@saccade/core';
import { makeBackend } from './backend/make-backend.ts';
import { ChatTemplate } from './chat-template.ts';
import { tokenStream } from './token-stream.ts';
import { type SpecialTokens, type Tokenizer, TokenizerError, type TokenStream } from './types.ts';

/** What a tokenizer is made of. */
export interface TokenizerParts {
  /** Parsed `tokenizer.json`. */
  readonly tokenizer: unknown;
  /** The special tokens' texts, by role. */
  readonly specialTexts: Readonly<Partial<Record<keyof SpecialTokens, string>>>;
  readonly endOfTextIds: readonly number[];
  readonly chatTemplate: string | undefined;
}

/** A tokenizer over Hugging Face's own JavaScript library. */
export class HuggingFaceTokenizer implements Tokenizer {
  readonly vocabularySize: number;
  readonly specialTokens: SpecialTokens;
  readonly endOfTextIds: readonly number[];
  readonly #backend: Backend;
  readonly #specialIds: ReadonlySet<number>;
  readonly #template: ChatTemplate | undefined;

  /** @throws TokenizerError */
  constructor(parts: TokenizerParts) {
    this.#backend = makeBackend(parts.tokenizer);
    this.vocabularySize = this.#backend.get_vocab(true).size;
    this.#specialIds = new Set(specialIds(this.#backend));
    this.endOfTextIds = parts.endOfTextIds;
    const ids: { -readonly [Role in keyof SpecialTokens]: SpecialTokens[Role] } = {};
    const variables: Record<string, string> = {};
    for (const role of ['bos', 'eos', 'pad', 'unk'] as const) {
      const text = parts.specialTexts[role];
      if (text === undefined) continue;
      variables[`${role}_token`] = text;
      const id = this.#backend.token_to_id(text);
      if (id !== undefined) ids[role] = id;
    }
    this.specialTokens = ids;
    this.#template = parts.chatTemplate === undefined ? undefined : new ChatTemplate(parts.chatTemplate, variables);
  }

  get chatTemplate(): string | undefined {
    return this.#template?.text;
  }

  encode(text: string, { addSpecialTokens = true }: { readonly addSpecialTokens?: boolean } = {}): number[] {
    return this.#backend.encode(text, { add_special_tokens: addSpecialTokens }).ids;
  }

  decode(ids: readonly number[], { skipSpecialTokens = true }: { readonly skipSpecialTokens?: boolean } = {}): string {
    // Models may have more ids than their tokenizers have tokens.
    const known = ids.filter(
      (id) => this.#backend.id_to_token(id) !== undefined && !(skipSpecialTokens && this.#specialIds.has(id)),
    );
    if (known.length === 0) return '';
    return this.#backend.decode(known, {
      // The library would look each token up in a list.
      skip_special_tokens: false,
      // Would take away spaces that the text has; transformers does not do it for BPE either.
      clean_up_tokenization_spaces: false,
    });
  }

  decodeStream(options: { readonly skipSpecialTokens?: boolean } = {}): TokenStream {
    return tokenStream((ids) => this.decode(ids, options));
  }

  applyChatTemplate(
    messages: readonly (ChatMessage | ImageMessage)[],
    { addGenerationPrompt = false }: { readonly addGenerationPrompt?: boolean } = {},
  ): string {
    if (!this.#template) {
      throw new TokenizerError('no-chat-template', 'This model has no chat template; give the prompt as one text.');
    }
    return this.#template.render(messages, addGenerationPrompt);
  }
}

function specialIds(backend: Backend): number[] {
  return [...backend.get_added_tokens_decoder()].flatMap(([id, token]) => (token.special ? [id] : []));
}
