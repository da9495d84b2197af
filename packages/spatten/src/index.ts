export { type Accounting, accountFor, type LayerTrace } from './accounting.ts';
export type { Cascade } from './cascade.ts';
export { type ResolvedSpattenOptions, type SpattenOptions, spattenOptions } from './options.ts';
export { gpt2Medium, gpt2Small, type PublishedSettings } from './published.ts';
export { quickSelectTopK } from './quick-select.ts';
export { checkCascade, keptCount, type LinearScheduleOptions, linearSchedule } from './schedule.ts';
export { spatten } from './spatten.ts';
export type { SpattenState } from './state.ts';
