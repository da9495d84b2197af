import type { Gpu, ImageInput } from '@saccade/core';
import { loadVisionLanguageModel } from '@saccade/models';

/** Asks a model about a picture: a name of the hub such as `HuggingFaceTB/SmolVLM-256M-Instruct`, or a local folder. */
export async function ask(gpu: Gpu, model: string, picture: ImageInput, question: string): Promise<string> {
  const seeing = await loadVisionLanguageModel(gpu, model);
  let answer = '';
  for await (const piece of seeing.generate({ images: [picture], text: question }, { maxTokens: 40 }))
    answer += piece.text;
  seeing.dispose();
  return answer;
}
