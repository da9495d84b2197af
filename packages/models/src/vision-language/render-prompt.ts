import { ArgumentError, type ContentPart, type ImageMessage } from '@saccade/core';
import type { Tokenizer } from '../tokenizer/types.ts';

/** A prompt as text, an image's token once per image, and where the user's words stand. */
export interface RenderedPrompt {
  readonly text: string;
  /** Of the last user message's texts: characters [from, to). */
  readonly question: readonly (readonly [from: number, to: number])[];
  /** Where the first user message's content begins; images count. Undefined where that is not known. */
  readonly userStart: number | undefined;
}

/** What stands for a user's text while its place is looked for: characters of the private use area, which no template has. */
const standIn = (index: number) => `\ue000${index}\ue001`;

/**
 * Renders a conversation by the model's template, which sees the parts of messages where it knows them, else the image's token
 * within the text. Where the user's texts stand is found by rendering the conversation once more with stand-ins for them.
 *
 * @throws TokenizerError where there is no template, or it refuses the conversation
 */
export function renderPrompt(
  tokenizer: Tokenizer,
  messages: readonly ImageMessage[],
  imageToken: string,
): RenderedPrompt {
  const render = (given: readonly ImageMessage[]) =>
    tokenizer.applyChatTemplate(knowsParts(tokenizer) ? given : given.map((message) => flat(message, imageToken)), {
      addGenerationPrompt: messages.at(-1)?.role !== 'assistant',
    });
  const parts = messages.map((message) => ({ ...message, content: partsOf(message) }));
  const text = render(parts);
  const texts: string[] = [];
  const lastUser = parts.findLastIndex(({ role }) => role === 'user');
  let firstOfLast = 0;
  const marked = parts.map((message, index) => {
    if (message.role !== 'user') return message;
    if (index === lastUser) firstOfLast = texts.length;
    const content = message.content.map((part): ContentPart => {
      if (part.type !== 'text') return part;
      texts.push(part.text);
      return { type: 'text', text: standIn(texts.length - 1) };
    });
    return { ...message, content };
  });
  const ranges = rangesOf(text, render(marked), texts);
  const starts = [text.indexOf(imageToken), ranges[0]?.[0] ?? -1].filter((start) => start >= 0);
  return {
    text,
    question: ranges.slice(firstOfLast).flatMap((range) => (range ? [range] : [])),
    userStart: starts.length === 0 ? undefined : Math.min(...starts),
  };
}

/** A prompt that was rendered by the caller. @throws ArgumentError for a question that it does not hold */
export function renderedPrompt(text: string, question: string | undefined, imageToken: string): RenderedPrompt {
  const image = text.indexOf(imageToken);
  const userStart = image < 0 ? undefined : image;
  if (question === undefined) return { text, question: [], userStart };
  const at = question === '' ? -1 : text.lastIndexOf(question);
  if (at < 0) throw new ArgumentError('prompt: question', question, 'a part of the rendered text');
  return {
    text,
    question: [[at, at + question.length]],
    userStart: Math.min(at, userStart ?? at),
  };
}

/** Where each text stands in `text`, given the same with stand-ins; templates may trim. */
function rangesOf(text: string, marked: string, texts: readonly string[]): (readonly [number, number] | undefined)[] {
  let shift = 0;
  return texts.map((own, index) => {
    const mark = standIn(index);
    const at = marked.indexOf(mark);
    if (at < 0) return undefined;
    const from = at + shift;
    const found = [own, own.trim()].find((candidate) => text.startsWith(candidate, from));
    if (found === undefined) return undefined;
    shift += found.length - mark.length;
    return [from, from + found.length] as const;
  });
}

/** Whether the template looks at the kinds of a message's parts. */
function knowsParts({ chatTemplate }: Tokenizer): boolean {
  return chatTemplate === undefined || /\btype\b/.test(chatTemplate);
}

function partsOf({ content }: ImageMessage): readonly ContentPart[] {
  return typeof content === 'string' ? [{ type: 'text', text: content }] : content;
}

function flat(
  { role, content }: { readonly role: string; readonly content: readonly ContentPart[] | string },
  imageToken: string,
) {
  if (typeof content === 'string') return { role, content };
  return { role, content: content.map((part) => (part.type === 'text' ? part.text : imageToken)).join('') };
}
