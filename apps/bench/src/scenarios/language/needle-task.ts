import { RandomStream } from '@saccade/core';
import type { LanguageModel } from '@saccade/models';
import { evaluationText } from '../../data/text.ts';

/** One hidden fact and the question about it. */
export interface Needle {
  readonly name: string;
  readonly answer: string;
  /** Where it stands, as a share of the context. */
  readonly depth: number;
}

/** A haystack with needles at even depths; every needle has a question of its own. */
export interface NeedleTask {
  readonly ids: readonly number[];
  readonly needles: readonly Needle[];
}

const names = ['London', 'Paris', 'Berlin', 'Madrid', 'Rome', 'Vienna', 'Moscow', 'Cairo', 'Tokyo', 'Sydney'];

/** The fact as it stands in the haystack. */
function sentence(needle: Needle): string {
  return ` The magic number of ${needle.name} is ${needle.answer}. `;
}

/** What is asked behind the haystack; the model completes it with the number. */
export function question(needle: Needle): string {
  return `\n\nQuestion: What is the magic number of ${needle.name}?\nAnswer: The magic number of ${needle.name} is`;
}

/** Ten needles in a stretch of the novel that together fill `length` tokens. */
export function needleTask(model: LanguageModel, length: number, seed: number): NeedleTask {
  const random = new RandomStream(seed, length);
  const needles = names.map((name, index) => ({
    name,
    answer: String(1000 + random.integer(9000)),
    depth: (index + 0.5) / names.length,
  }));
  const { tokenizer } = model;
  const room = length - needles.reduce((sum, needle) => sum + tokenizer.encode(sentence(needle)).length, 0);
  const hay = tokenizer.encode(evaluationText().slice(0, length * 8)).slice(0, Math.max(room, 0));
  const ids: number[] = [];
  let from = 0;
  for (const needle of needles) {
    const to = Math.round(needle.depth * hay.length);
    ids.push(...hay.slice(from, to), ...tokenizer.encode(sentence(needle)));
    from = to;
  }
  ids.push(...hay.slice(from));
  return { ids, needles };
}
