import { drawScene, imageSize, levels, sceneQuestions } from '@saccade/tiny-models';
import type { AnswerImage, MethodEntry } from '../../method-entry.ts';
import { generateAnswer } from './answers.ts';

const grey = {
  width: imageSize,
  height: imageSize,
  channels: 3,
  data: new Uint8Array(imageSize ** 2 * 3).fill(128),
} as const;

const answerBlind: AnswerImage = (model, { text }, options) =>
  generateAnswer(model, { image: grey, text }, undefined, options);

/** The same model before a grey image: what it says from the question alone. */
export const blindEntry: MethodEntry = {
  name: 'blind',
  title: 'Blind',
  description: 'The model is shown a grey image in place of the real one.',
  role: 'baseline',
  phases: ['prefill'],
  needs: 'vision',
  options: {},
  create: () => undefined,
  answer: () => answerBlind,
};

/** Scenes of each level whose answers are counted. */
const counted = 150;

/** What a question asks for: how it begins or, where it names two answers, which. */
function askedFor(text: string): string {
  const either = /(\w+) or (\w+)/.exec(text);
  return either ? either.slice(1).sort().join(' or ') : text.split(' ').slice(0, 2).join(' ');
}

let usual: ReadonlyMap<string, string> | undefined;

/** By what a question asks for: what is answered to it most often in scenes that are not asked about. */
function usualAnswers(): ReadonlyMap<string, string> {
  if (usual) return usual;
  const counts = new Map<string, Map<string, number>>();
  for (const level of levels) {
    for (let seed = 0; seed < counted; seed++) {
      for (const { text, answer } of sceneQuestions(drawScene(seed, level), seed)) {
        const own = counts.get(askedFor(text)) ?? new Map<string, number>();
        counts.set(askedFor(text), own.set(answer, (own.get(answer) ?? 0) + 1));
      }
    }
  }
  const most = (own: ReadonlyMap<string, number>) =>
    [...own].reduce((best, each) => (each[1] > best[1] ? each : best))[0];
  usual = new Map([...counts].map(([asked, own]) => [asked, most(own)]));
  return usual;
}

/** No model at all: the answer that its kind of question has most often. */
export const usualAnswerEntry: MethodEntry = {
  name: 'usual-answer',
  title: 'Usual answer',
  description: 'Each question gets the answer that questions of its kind have most often; nothing is looked at.',
  role: 'baseline',
  phases: ['prefill'],
  needs: 'vision',
  options: {},
  create: () => undefined,
  answer:
    () =>
    async (_, { text }) =>
      usualAnswers().get(askedFor(text)) ?? '',
};

/** What every table of these scenarios shows beside the methods. */
export const blindBaselines = [blindEntry, usualAnswerEntry];
