export { giftEntry } from './entry.ts';
