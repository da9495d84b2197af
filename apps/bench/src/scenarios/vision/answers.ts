import type { EncodedPrompt, Method, ModelHandle } from '@saccade/core';
import type { ImageQuestion } from '../../method-entry.ts';
import type { Variant } from '../../scenario.ts';

interface AnswerOptions {
  readonly maxTokens: number;
  readonly signal: AbortSignal;
}

/** The greedy answer to a question, or to a prompt that was encoded already. */
export async function generateAnswer(
  model: ModelHandle,
  question: ImageQuestion | EncodedPrompt,
  method: Method | undefined,
  { maxTokens, signal }: AnswerOptions,
): Promise<string> {
  const prompt = 'image' in question ? { images: [question.image], text: question.text } : question;
  let text = '';
  for await (const piece of model.generate(prompt, { method, maxTokens, signal })) text += piece.text;
  return text.trim();
}

/** Answers questions, each image and text seen once for all variants. Dispose it. */
export class Answerer {
  readonly #model: ModelHandle;
  readonly #signal: AbortSignal;
  readonly #prompts = new Map<ImageQuestion['image'], Map<string, Promise<EncodedPrompt>>>();

  constructor(model: ModelHandle, signal: AbortSignal) {
    this.#model = model;
    this.#signal = signal;
  }

  /** What a variant answers: the model with its method, or its procedure. */
  async answer(variant: Variant, question: ImageQuestion, maxTokens: number): Promise<string> {
    this.#signal.throwIfAborted();
    const options = { maxTokens, signal: this.#signal };
    if (variant.answer) return (await variant.answer(this.#model, question, options)).trim();
    return generateAnswer(this.#model, await this.#prompt(question), variant.create(), options);
  }

  #prompt({ image, text }: ImageQuestion): Promise<EncodedPrompt> {
    const own = this.#prompts.get(image) ?? new Map<string, Promise<EncodedPrompt>>();
    this.#prompts.set(image, own);
    const prompt = own.get(text) ?? this.#model.encode({ images: [image], text });
    own.set(text, prompt);
    return prompt;
  }

  /** Frees the prompts. */
  async dispose(): Promise<void> {
    for (const own of this.#prompts.values()) for (const prompt of own.values()) (await prompt).dispose();
    this.#prompts.clear();
  }
}
