export { accumulatedMass } from './accumulated-mass.ts';
export { denoisingStripes, denoisingWindow, windowReuse } from './denoising.ts';
export { lastWindow } from './last-window.ts';
export { layerTopK } from './layer-top-k.ts';
export { randomTokens } from './random-tokens.ts';
export { sinksRecent } from './sinks-recent.ts';
