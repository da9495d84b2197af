export { type BootstrapOptions, bootstrapMean, bootstrapMedianRatio, bootstrapStatistic } from './bootstrap.ts';
export { agreement, klDivergence, klPerRow, relativeError } from './divergence.ts';
export { mean, median, quantile } from './quantile.ts';
export { studentInterval } from './student.ts';
export { summarizeTimings, type TimingSummary } from './timing.ts';
export { type Interval, wilsonInterval } from './wilson.ts';
