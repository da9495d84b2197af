import { readFileSync } from 'node:fs';

const path = new URL('../../data/persuasion.txt', import.meta.url);
/** The first edition's second volume starts here. */
const secondVolume = '\nChapter 13\n';

function volumes(): { first: string; second: string } {
  const text = readFileSync(path, 'utf8');
  const cut = text.indexOf(secondVolume) + 1;
  return { first: text.slice(0, cut).trimEnd(), second: text.slice(cut).trimEnd() };
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
  return new TextEncoder().encode(readFileSync(path, 'utf8').trimEnd());
}
