export { basedEntry, linearAloneEntry, mixerOfEntry, windowAloneEntry } from './entries.ts';
