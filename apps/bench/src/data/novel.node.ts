import { readFileSync } from 'node:fs';

/** All of Persuasion. */
export const novel = readFileSync(new URL('../../data/persuasion.txt', import.meta.url), 'utf8');
