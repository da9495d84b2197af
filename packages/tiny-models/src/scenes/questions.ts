import { RandomStream, type Seed } from '@saccade/core';
import type { ChartScene, NumberScene, ObjectScene, Scene, SceneObject } from './scene.ts';
import { type Colour, cooccurrence, type Noun, nouns, pluralOf, popularity } from './words.ts';

/** What a question asks for. */
export type QuestionKind =
  | 'existence'
  | 'count'
  | 'colour'
  | 'position'
  | 'relation'
  | 'number'
  | 'chart'
  | 'description';

export const questionKinds: readonly QuestionKind[] = [
  'existence',
  'count',
  'colour',
  'position',
  'relation',
  'number',
  'chart',
  'description',
];

export interface Question {
  readonly kind: QuestionKind;
  readonly text: string;
  /** The whole answer, as the model is to write it after `Assistant:` and a space. */
  readonly answer: string;
  /** Of an existence question: how its absent nouns were chosen. */
  readonly negatives?: Negatives;
}

/** How the absent nouns of existence questions are chosen (POPE, Li et al. 2023). */
export type Negatives = 'random' | 'popular' | 'adversarial';

/** The nouns that a scene shows. */
export function presentNouns({ objects }: ObjectScene): Noun[] {
  return nouns.filter((noun) => objects.some((object) => object.noun === noun));
}

/**
 * Absent nouns, best first: in random order, by how often they occur at all, or by how often they occur with the scene's own.
 */
export function absentNouns(scene: ObjectScene, negatives: Negatives, random: RandomStream): Noun[] {
  const present = presentNouns(scene);
  const absent = random.shuffle(nouns.filter((noun) => !present.includes(noun)));
  if (negatives === 'random') return absent;
  const score =
    negatives === 'popular'
      ? popularity
      : (noun: Noun) => scene.objects.reduce((sum, object) => sum + cooccurrence(object.noun, noun), 0);
  return absent.sort((a, b) => score(b) - score(a));
}

const article = (noun: string) => (/^[aeiou]/.test(noun) ? 'an' : 'a');

const existenceQuestion = (noun: Noun, present: boolean, negatives: Negatives): Question => ({
  kind: 'existence',
  text: `Is there ${article(noun)} ${noun}?`,
  answer: present ? 'yes' : 'no',
  negatives,
});

/** Existence questions of a scene, as many about present nouns as about absent ones; at most `pairs` of each. */
export function existenceQuestions(scene: ObjectScene, negatives: Negatives, pairs: number, seed: Seed): Question[] {
  const random = new RandomStream(seed, 11);
  const present = random.shuffle(presentNouns(scene));
  const absent = absentNouns(scene, negatives, random);
  const count = Math.min(pairs, present.length, absent.length);
  return [
    ...present.slice(0, count).map((noun) => existenceQuestion(noun, true, negatives)),
    ...absent.slice(0, count).map((noun) => existenceQuestion(noun, false, negatives)),
  ];
}

/** Objects in the order of reading: by rows of cells of 16 pixels, each from the left. */
export function readingOrder(objects: readonly SceneObject[]): SceneObject[] {
  return [...objects].sort((a, b) => (a.y >> 4) - (b.y >> 4) || a.x - b.x);
}

export const describeQuestion = 'Describe the image.';

/** Every question kind that a scene can be asked, about things drawn by seed; existence with random negatives. */
export function sceneQuestions(scene: Scene, seed: Seed): Question[] {
  const random = new RandomStream(seed, 12);
  if (scene.kind === 'number') return numberQuestions(scene);
  if (scene.kind === 'chart') return chartQuestions(scene, random);
  return objectQuestions(scene, random, seed);
}

function objectQuestions(scene: ObjectScene, random: RandomStream, seed: Seed): Question[] {
  const { objects } = scene;
  const questions = existenceQuestions(scene, 'random', 2, seed);
  const counted = random.shuffle(presentNouns(scene)).map((noun) => ({
    noun,
    count: objects.filter((object) => object.noun === noun).length,
  }));
  // Larger counts first in three of four: most nouns occur once.
  if (random.integer(4) > 0) counted.sort((a, b) => b.count - a.count);
  for (const { noun, count } of counted.slice(0, 2)) {
    if (count < 10)
      questions.push({ kind: 'count', text: `How many ${pluralOf(noun)} are there?`, answer: `${count}` });
  }
  const single = counted
    .filter(({ count }) => count === 1)
    .map(({ noun }) => objects.find((object) => object.noun === noun) as SceneObject);
  for (const { noun, colour } of single.slice(0, 2)) {
    questions.push({ kind: 'colour', text: `What colour is the ${noun}?`, answer: colour });
  }
  const placed = random.shuffle(single).find(({ x, y }) => Math.abs(x - 64) >= 8 && Math.abs(y - 64) >= 8);
  if (placed) {
    const answer = `${placed.y < 64 ? 'top' : 'bottom'} ${placed.x < 64 ? 'left' : 'right'}`;
    questions.push({ kind: 'position', text: `Where is the ${placed.noun}?`, answer });
  }
  for (const _ of [0, 1]) {
    const relation = relationQuestion(random.shuffle(single), random);
    if (relation) questions.push(relation);
  }
  const answer = `${readingOrder(objects)
    .map(({ colour, noun }) => `${colour} ${noun}`)
    .join(', ')}.`;
  questions.push({ kind: 'description', text: describeQuestion, answer });
  return questions;
}

function relationQuestion([a, b]: readonly SceneObject[], random: RandomStream): Question | undefined {
  if (!a || !b) return undefined;
  const horizontal = random.integer(2) === 0;
  const difference = horizontal ? a.x - b.x : a.y - b.y;
  if (Math.abs(difference) < 12) return undefined;
  const [less, more] = horizontal ? ['left', 'right'] : ['above', 'below'];
  const either = random.integer(2) === 0 ? `${less} or ${more}` : `${more} or ${less}`;
  return {
    kind: 'relation',
    text: `Is the ${a.noun} ${either}${horizontal ? ' of' : ''} the ${b.noun}?`,
    answer: (difference < 0 ? less : more) as string,
  };
}

function numberQuestions({ digits }: NumberScene): Question[] {
  const kind = 'number';
  return [
    { kind, text: 'What number is shown?', answer: digits.join(' ') },
    { kind, text: 'What is the first digit?', answer: `${digits[0]}` },
    { kind, text: 'What is the last digit?', answer: `${digits.at(-1)}` },
  ];
}

function chartQuestions({ bars }: ChartScene, random: RandomStream): Question[] {
  const kind = 'chart';
  const byValue = [...bars].sort((a, b) => a.value - b.value);
  const heights = random.shuffle(bars).slice(0, 3);
  const [a, b] = random.shuffle(bars) as [{ colour: Colour; value: number }, { colour: Colour; value: number }];
  return [
    ...heights.map(
      ({ colour, value }): Question => ({ kind, text: `How high is the ${colour} bar?`, answer: `${value}` }),
    ),
    { kind, text: 'Which bar is the highest?', answer: byValue.at(-1)?.colour as Colour },
    { kind, text: 'Which bar is the lowest?', answer: byValue[0]?.colour as Colour },
    {
      kind,
      text: `Is the ${a.colour} bar higher than the ${b.colour} bar?`,
      answer: a.value > b.value ? 'yes' : 'no',
    },
  ];
}
