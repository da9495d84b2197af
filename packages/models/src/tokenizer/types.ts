import { type ChatMessage, type ImageMessage, SaccadeError, type TokenizerHandle } from '@saccade/core';

/** Ids of the special tokens that a tokenizer names. */
export interface SpecialTokens {
  readonly bos?: number;
  readonly eos?: number;
  readonly pad?: number;
  readonly unk?: number;
}

/** Text to token ids and back; the ids are those of the model's own Hugging Face tokenizer. */
export interface Tokenizer extends TokenizerHandle {
  readonly specialTokens: SpecialTokens;
  /** Text of the chat template (Jinja), where the model has one. */
  readonly chatTemplate: string | undefined;
  /** The messages may hold images, where the template knows them. */
  applyChatTemplate(
    messages: readonly (ChatMessage | ImageMessage)[],
    options?: { readonly addGenerationPrompt?: boolean },
  ): string;
  /** A decoder for ids that come one at a time. */
  decodeStream(options?: { readonly skipSpecialTokens?: boolean }): TokenStream;
}

/** Decodes ids one at a time and never emits half a character. */
export interface TokenStream {
  /** Text that this id completes; may be empty. */
  push(id: number): string;
  /** What is left; bytes that form no character become U+FFFD. */
  end(): string;
}

/**
 * A tokenizer cannot be made or used: `missing` (no tokenizer file or metadata), `invalid` (it contradicts itself),
 * `unsupported` (a kind that is not implemented) or `no-chat-template` (pass text or token ids instead of messages).
 */
export class TokenizerError extends SaccadeError {
  static override readonly typeName: string = 'TokenizerError';

  constructor(
    code: 'missing' | 'invalid' | 'unsupported' | 'no-chat-template',
    message: string,
    options?: { cause?: unknown },
  ) {
    super(code, message, options);
  }
}
