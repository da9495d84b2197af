import { fileURLToPath } from 'node:url';
import { decodeImage } from '../images/decode.node.ts';
import { cacheSource } from '../resolve/node/cache-source.ts';
import { hubSource } from '../resolve/node/hub-source.ts';
import { localSource } from '../resolve/node/local-source.ts';
import { openFile } from '../resolve/node/open-file.ts';
import { pipSource } from '../resolve/node/pip-source.ts';
import type { Platform } from './platform.ts';

/** Node: files, a cache folder, the hub and pip. */
export const platform: Platform = {
  sources: { local: localSource, cache: cacheSource, hub: hubSource, pip: pipSource },
  environment: (name) => process.env[name] || undefined,
  openUrl: (url) => (url.protocol === 'file:' ? openFile(fileURLToPath(url)) : undefined),
  openPath: openFile,
  decodeImage,
};
