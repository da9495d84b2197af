export { type Accounting, accountFor, type LayerTrace, type ReadBits } from './accounting.ts';
export type { Cascade, CascadeSettings } from './cascade.ts';
export { type ResolvedSpattenOptions, type SpattenOptions, spattenOptions } from './options.ts';
export { type ProgressiveOptions, type ProgressiveProbabilities, progressiveProbabilities } from './progressive.ts';
export { gpt2Medium, gpt2Small, type PublishedSettings } from './published.ts';
export { quickSelectTopK } from './quick-select.ts';
export { checkCascade, keptCount, type LinearScheduleOptions, linearSchedule } from './schedule.ts';
export { refetchShare, spatten } from './spatten.ts';
export type { SpattenState } from './state.ts';
