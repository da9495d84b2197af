export { gnaEntry } from './entry.ts';
export { gnaKernelEntry } from './kernel-entry.ts';
