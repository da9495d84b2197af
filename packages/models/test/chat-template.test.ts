import { readFileSync } from 'node:fs';
import type { ChatMessage } from '@saccade/core';
import { describe, expect, it } from 'vitest';
import { ChatTemplate } from '../src/tokenizer/chat-template.ts';
import { goldenPath } from './golden-folder.ts';

interface Golden {
  readonly specialTexts: Readonly<Record<string, string>>;
  readonly templates: readonly { readonly name: string; readonly text: string }[];
  readonly rows: readonly {
    readonly template: string;
    readonly messages: readonly ChatMessage[];
    readonly addGenerationPrompt: boolean;
    readonly text?: string;
    readonly error?: string;
  }[];
}

const golden = JSON.parse(readFileSync(goldenPath('chat-templates.json'), 'utf8')) as Golden;

describe("conversations rendered as transformers' apply_chat_template does", () => {
  it.each(golden.templates)('$name', ({ name, text }) => {
    const template = new ChatTemplate(text, golden.specialTexts);
    const rows = golden.rows.filter((row) => row.template === name);
    expect(rows).toHaveLength(12);
    for (const { messages, addGenerationPrompt, text: expected, error } of rows) {
      const render = () => template.render(messages, addGenerationPrompt);
      if (error === undefined) expect(render(), JSON.stringify(messages)).toBe(expected);
      else
        expect(render).toThrow(
          expect.objectContaining({
            name: 'TokenizerError',
            code: 'invalid',
            message: expect.stringContaining(error),
          }),
        );
    }
  });

  it('include one that a template refuses', () => {
    expect(golden.rows.filter(({ error }) => error !== undefined)).toHaveLength(2);
  });
});

it('says what is wrong with a template that cannot be read', () => {
  const template = new ChatTemplate('{% for message in messages %}', {});
  expect(() => template.render([{ role: 'user', content: 'a' }], false)).toThrow(
    expect.objectContaining({ name: 'TokenizerError', code: 'invalid' }),
  );
});
