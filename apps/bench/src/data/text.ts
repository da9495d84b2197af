import { novel } from '#novel';

/** The first edition's second volume starts here. */
const secondVolume = '\nChapter 13\n';

function volumes(): { first: string; second: string } {
  const cut = novel.indexOf(secondVolume) + 1;
  return { first: novel.slice(0, cut).trimEnd(), second: novel.slice(cut).trimEnd() };
}

/** English prose that methods are scored on: volume I of Persuasion, paragraphs separated by an empty line. */
export function evaluationText(): string {
  return volumes().first;
}

/** English prose for calibration, disjoint from the evaluation text: volume II of Persuasion. */
export function calibrationText(): string {
  return volumes().second;
}

/** All of Persuasion as UTF-8. */
export function novelBytes(): Uint8Array {
  return new TextEncoder().encode(novel.trimEnd());
}
