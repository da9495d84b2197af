import text from '../../data/persuasion.txt?raw';

/** All of Persuasion. */
export const novel: string = text;
