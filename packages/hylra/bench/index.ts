export { hylraEntry } from './entry.ts';
