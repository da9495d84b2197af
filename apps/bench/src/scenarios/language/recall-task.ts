import { RandomStream } from '@saccade/core';
import type { LanguageModel } from '@saccade/models';

/** A list of pairs that fills a context, and the questions behind it. */
export interface RecallTask {
  readonly context: readonly number[];
  readonly continuation: readonly number[];
  /** Tokens of the continuation that are answers. */
  readonly answers: readonly (readonly [from: number, to: number])[];
}

const consonants = 'bdfgklmnprstvz';
const vowels = 'aeiou';

/**
 * Names with a number each, as many as fit, then some of the names again in another order, each followed by its number: the model
 * recalls by copying (multi-query associative recall in words).
 */
export function recallTask(model: LanguageModel, length: number, questions: number, seed: number): RecallTask {
  const { tokenizer } = model;
  const random = new RandomStream(seed, length);
  const header = tokenizer.encode('Here is a list of names and numbers.\n\n');
  const names = new Set<string>();
  const pairs: { readonly name: string; readonly ids: readonly number[]; readonly from: number }[] = [];
  let tokens = header.length;
  while (tokens < length) {
    const name = wordOf(random);
    if (names.has(name)) continue;
    names.add(name);
    const pair = pairOf(tokenizer.encode(`${name}:`), tokenizer.encode(` ${100 + random.integer(900)}\n`));
    if (tokens + pair.ids.length > length) break;
    pairs.push({ name, ...pair });
    tokens += pair.ids.length;
  }
  // Answers end before the line break.
  const asked = Array.from({ length: Math.min(questions, pairs.length) }, (_, index) => {
    const stride = Math.floor(pairs.length / Math.min(questions, pairs.length));
    return pairs[index * stride + random.integer(stride)] as (typeof pairs)[number];
  });
  for (let index = asked.length - 1; index > 0; index--) {
    const other = random.integer(index + 1);
    [asked[index], asked[other]] = [asked[other] as (typeof pairs)[number], asked[index] as (typeof pairs)[number]];
  }
  const continuation: number[] = [];
  const answers: [number, number][] = [];
  for (const { ids, from } of asked) {
    answers.push([continuation.length + from, continuation.length + ids.length - 1]);
    continuation.push(...ids);
  }
  const bridge = tokenizer.encode('\nThe same again:\n\n');
  const context = [...header, ...pairs.flatMap(({ ids }) => ids), ...bridge];
  return { context, continuation, answers };
}

function pairOf(name: readonly number[], answer: readonly number[]) {
  return { ids: [...name, ...answer], from: name.length };
}

/** A word of two syllables with a capital. */
function wordOf(random: RandomStream): string {
  const pick = (letters: string) => letters[random.integer(letters.length)] as string;
  const word = `${pick(consonants)}${pick(vowels)}${pick(consonants)}${pick(vowels)}${pick(consonants)}`;
  return word[0]?.toUpperCase() + word.slice(1);
}
