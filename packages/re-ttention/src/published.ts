import type { ReTtentionOptions } from './options.ts';

const common = { cachePeriod: 5, ramp: 0.04, density: 1 / 32 } as const;

/** Published settings for PixArt-alpha and PixArt-Sigma, 20 steps. */
export const pixArt: ReTtentionOptions = { ...common, warmupSteps: 5 };

/** Published settings for Hunyuan-DiT, 50 steps. */
export const hunyuanDit: ReTtentionOptions = { ...common, warmupSteps: 10 };

/** Published settings for CogVideoX-2B, 50 steps. */
export const cogVideoX: ReTtentionOptions = { ...common, warmupSteps: 15 };
