import { decodeImage } from '../images/decode.web.ts';
import { cacheSource } from '../resolve/web/cache-source.ts';
import { hubSource } from '../resolve/web/hub-source.ts';
import type { Platform } from './platform.ts';

/** Browsers: the hub, and the browser's Cache API. */
export const platform: Platform = {
  sources: { cache: cacheSource, hub: hubSource },
  environment: () => undefined,
  openUrl: () => undefined,
  openPath: () => undefined,
  decodeImage,
};
