export { newMethodEntry } from './entry.ts';
