export { newMethod } from './new-method.ts';
export { type NewMethodOptions, newMethodOptions, type ResolvedNewMethodOptions } from './options.ts';
export type { NewMethodState } from './state.ts';
