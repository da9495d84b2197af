import { execFile } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { cachedInstall } from '@saccade/cached-install';
import type { ChromiumProgram } from './find-chromium.ts';

/** A headless Chromium for Linux on x64, with the libraries that a bare machine lacks. Pinned: what was tried is what runs. */
export const npmChromiumSpecifier = '@sparticuz/chromium@147.0.0';

/**
 * Gets Chromium from npm into the cache folder (about 70 MB, once).
 *
 * @throws Error where the platform has no such package or npm cannot get it
 */
export async function npmChromium(): Promise<ChromiumProgram> {
  if (process.platform !== 'linux' || process.arch !== 'x64')
    throw new Error(`is for Linux on x64 alone, this is ${process.platform} on ${process.arch}`);
  const modules = await cachedInstall(npmChromiumSpecifier);
  const folder = join(modules, '..', 'unpacked');
  mkdirSync(folder, { recursive: true });
  // It unpacks itself into the folder for temporary files, and its libraries only where it believes to be in a cloud.
  const { stdout } = await promisify(execFile)(
    process.execPath,
    [
      '--input-type=module',
      '--eval',
      "import chromium from '@sparticuz/chromium'; console.log(await chromium.executablePath())",
    ],
    { cwd: join(modules, '..'), env: { ...process.env, TMPDIR: folder, AWS_LAMBDA_JS_RUNTIME: 'nodejs22.x' } },
  );
  const libraries = [join(folder, 'al2023', 'lib'), process.env.LD_LIBRARY_PATH].filter(Boolean).join(':');
  return {
    path: stdout.trim(),
    source: 'npm',
    variables: { LD_LIBRARY_PATH: libraries, FONTCONFIG_PATH: join(folder, 'fonts') },
  };
}
