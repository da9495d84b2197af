export { vhrEntry } from './entry.ts';
