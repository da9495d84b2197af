export { tidalDecodeEntry } from './entry.ts';
