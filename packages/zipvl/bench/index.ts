export { zipvlEntry } from './entry.ts';
