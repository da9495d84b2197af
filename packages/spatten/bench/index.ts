export { spattenEntry } from './entry.ts';
