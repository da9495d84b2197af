export { varEntry } from './entry.ts';
