export { carveEntry } from './entry.ts';
