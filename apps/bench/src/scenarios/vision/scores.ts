import { bootstrapStatistic } from '@saccade/core';
import { nouns } from '@saccade/tiny-models';
import type { Measure, Quality } from '../../result-file/types.ts';

/** A statistic over images with its interval; undefined where it has no value, as a precision without positives. */
function over<Sample>(samples: readonly Sample[], statistic: (some: readonly Sample[]) => number): Measure | undefined {
  return Number.isFinite(statistic(samples)) ? bootstrapStatistic(samples, statistic) : undefined;
}

const share = <T>(items: readonly T[], holds: (item: T) => boolean) => items.filter(holds).length / items.length;

function defined(quality: Readonly<Record<string, Measure | undefined>>): Quality {
  return Object.fromEntries(Object.entries(quality).filter(([, value]) => value !== undefined)) as Quality;
}

/** A question about an image, the true answer and the one that was given. */
export interface Answered {
  readonly truth: string;
  readonly given: string;
}

/** Share of answers that are right in every word. @param images The questions of each image. */
export function exactness(images: readonly (readonly Answered[])[]): Quality {
  return defined({ accuracy: over(images, (some) => share(some.flat(), ({ truth, given }) => truth === given)) });
}

/** POPE's measures (Li et al., 2023): yes is the positive answer; whatever does not begin with it counts as no. */
export function existenceScores(images: readonly (readonly Answered[])[]): Quality {
  const yes = (text: string) => /^yes\b/i.test(text);
  const count = (some: readonly (readonly Answered[])[], truth: boolean, given: boolean) =>
    some.flat().filter((each) => yes(each.truth) === truth && yes(each.given) === given).length;
  const precision = (some: typeof images) => {
    const found = count(some, true, true);
    return found / (found + count(some, false, true));
  };
  const recall = (some: typeof images) => {
    const found = count(some, true, true);
    return found / (found + count(some, true, false));
  };
  const f1 = (some: typeof images) => {
    const found = count(some, true, true);
    return (2 * found) / (2 * found + count(some, false, true) + count(some, true, false));
  };
  return defined({
    accuracy: over(images, (some) => share(some.flat(), ({ truth, given }) => yes(truth) === yes(given))),
    precision: over(images, precision),
    recall: over(images, recall),
    f1: over(images, f1),
    yesRatio: over(images, (some) => share(some.flat(), ({ given }) => yes(given))),
  });
}

/** A description and the nouns that its image shows. */
export interface Described {
  readonly text: string;
  readonly present: readonly string[];
}

/** The nouns that a description names, each as often as it does. */
export function namedNouns(text: string): string[] {
  return (text.toLowerCase().match(/[a-z]+/g) ?? []).filter((word) => nouns.some((noun) => noun === word));
}

/**
 * CHAIR's measures (Rohrbach et al., 2018): the share of descriptions that name a noun which their image does not show, and the share
 * of such among all named nouns; beside them how many of the shown nouns are named, and how long descriptions are.
 */
export function descriptionScores(images: readonly Described[]): Quality {
  const scored = images.map(({ text, present }) => {
    const named = namedNouns(text);
    return {
      named: named.length,
      wrong: named.filter((noun) => !present.includes(noun)).length,
      shown: present.length,
      found: present.filter((noun) => named.includes(noun)).length,
      words: text.match(/[a-z]+/gi)?.length ?? 0,
    };
  });
  type Scored = (typeof scored)[number];
  const total = (some: readonly Scored[], key: keyof Scored) => some.reduce((sum, each) => sum + each[key], 0);
  return defined({
    chairSentence: over(scored, (some) => share(some, ({ wrong }) => wrong > 0)),
    chairInstance: over(scored, (some) => total(some, 'wrong') / total(some, 'named')),
    recall: over(scored, (some) => total(some, 'found') / total(some, 'shown')),
    words: over(scored, (some) => total(some, 'words') / some.length),
  });
}
