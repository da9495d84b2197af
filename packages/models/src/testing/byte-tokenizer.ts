import type { ChatMessage, ImageMessage } from '@saccade/core';
import type { Tokenizer, TokenStream } from '../tokenizer/types.ts';

/** A tokenizer whose ids are UTF-8 bytes; id 0 ends a text. For small random models. */
export class ByteTokenizer implements Tokenizer {
  readonly vocabularySize: number;
  readonly endOfTextIds: readonly number[] = [0];
  readonly specialTokens = {};
  readonly chatTemplate = undefined;

  constructor(vocabularySize = 256) {
    this.vocabularySize = vocabularySize;
  }

  encode(text: string): number[] {
    return [...new TextEncoder().encode(text)];
  }

  decode(ids: readonly number[]): string {
    return new TextDecoder().decode(Uint8Array.from(ids));
  }

  decodeStream(): TokenStream {
    const decoder = new TextDecoder();
    return {
      push: (id) => decoder.decode(Uint8Array.of(id), { stream: true }),
      end: () => decoder.decode(),
    };
  }

  applyChatTemplate(
    messages: readonly (ChatMessage | ImageMessage)[],
    options: { readonly addGenerationPrompt?: boolean } = {},
  ): string {
    const text = messages.map((message) => `${message.role}: ${contentText(message)}\n`).join('');
    return options.addGenerationPrompt ? `${text}assistant: ` : text;
  }
}

function contentText({ content }: ChatMessage | ImageMessage): string {
  if (typeof content === 'string') return content;
  return content.map((part) => (part.type === 'text' ? part.text : '<image>')).join('');
}
