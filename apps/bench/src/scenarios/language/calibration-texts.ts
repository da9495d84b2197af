import type { LanguageModel } from '@saccade/models';
import { calibrationText } from '../../data/text.ts';

/** Stretches of the calibration text, evenly spread: token ids. */
export function calibrationTexts(model: LanguageModel, count: number, tokens: number): number[][] {
  const ids = model.tokenizer.encode(calibrationText());
  return Array.from({ length: count }, (_, index) => {
    const start = Math.floor((index * (ids.length - tokens)) / count);
    return ids.slice(start, start + tokens);
  });
}
