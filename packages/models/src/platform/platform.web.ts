import { hubSource } from '../resolve/web/hub-source.ts';
import type { Platform } from './platform.ts';

/** Browsers: the hub, read by ranges. */
export const platform: Platform = {
  sources: { hub: hubSource },
  environment: () => undefined,
};
