import { ArgumentError, type ChatMessage, type ImagePrompt } from '@saccade/core';
import { type LanguageModel, VisionLanguageModel } from '@saccade/models';
import type { CompareRequest } from '../protocol.ts';

/** The prompt as the model takes it: with its image, as a chat where the model was made for chats, else as it is. */
export function methodPrompt(
  model: LanguageModel,
  { prompt, image }: CompareRequest,
): string | readonly ChatMessage[] | ImagePrompt {
  if (model instanceof VisionLanguageModel) {
    if (!image) throw new ArgumentError('image', 'none', 'an image for a model that sees');
    return { images: [image], text: prompt };
  }
  const messages: ChatMessage[] = [{ role: 'user', content: prompt }];
  try {
    model.tokenizer.applyChatTemplate(messages, { addGenerationPrompt: true });
    return messages;
  } catch {
    // It has no template: it continues text.
    return prompt;
  }
}
