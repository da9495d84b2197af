import { homedir } from 'node:os';
import { join } from 'node:path';

/**
 * The one folder outside a project that Saccade writes to: `saccade` in `XDG_CACHE_HOME` where that is set, else in the
 * platform's cache folder of the user.
 */
export function cacheFolder(environment: NodeJS.ProcessEnv = process.env, platform: string = process.platform): string {
  if (environment.XDG_CACHE_HOME) return join(environment.XDG_CACHE_HOME, 'saccade');
  if (platform === 'darwin') return join(homedir(), 'Library', 'Caches', 'saccade');
  if (platform === 'win32') return join(environment.LOCALAPPDATA ?? join(homedir(), 'AppData', 'Local'), 'saccade');
  return join(homedir(), '.cache', 'saccade');
}
