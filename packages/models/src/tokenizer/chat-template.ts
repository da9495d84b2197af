import { Template } from '@huggingface/jinja';
import type { ChatMessage, ImageMessage } from '@saccade/core';
import { TokenizerError } from './types.ts';

/** A model's chat template: a Jinja text that turns a conversation into a prompt. */
export class ChatTemplate {
  readonly text: string;
  readonly #variables: Readonly<Record<string, string>>;
  #parsed: Template | undefined;

  /** @param variables Values that templates use, such as `bos_token`. */
  constructor(text: string, variables: Readonly<Record<string, string>>) {
    this.text = text;
    this.#variables = variables;
  }

  /** @throws TokenizerError `invalid` where the template is wrong or refuses the conversation */
  render(messages: readonly (ChatMessage | ImageMessage)[], addGenerationPrompt: boolean): string {
    try {
      this.#parsed ??= new Template(this.text);
      return this.#parsed.render({
        ...this.#variables,
        messages: messages.map((message) => ({ ...message })),
        add_generation_prompt: addGenerationPrompt,
        // Templates ask whether these are none, which what is not defined is not.
        tools: null,
        documents: null,
      });
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw new TokenizerError('invalid', `The chat template cannot render this conversation: ${reason}`, { cause });
    }
  }
}
