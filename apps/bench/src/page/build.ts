import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build, preview } from 'vite';
import { commit, packageVersions } from '../result-file/environment.ts';

/** The bundler tells how long its plugins took, which is nothing to a user. */
const quietBuild = { rolldownOptions: { checks: { pluginTimings: false } } };
const root = fileURLToPath(new URL('./', import.meta.url));

/** The page on an address of this machine. */
export interface ServedPage {
  readonly url: string;
  close(): Promise<void>;
}

/** Where the page is served. */
export interface ServeOptions {
  /** 0 takes a free one. */
  readonly port: number;
  /** Default: this machine alone. */
  readonly host?: string;
}

/** Bundles the page into a folder for temporary files and serves it there; `close` removes both. */
export async function servePage({ port, host = 'localhost' }: ServeOptions): Promise<ServedPage> {
  const outDir = mkdtempSync(join(tmpdir(), 'saccade-page-'));
  const shared = { configFile: false, root, base: './', logLevel: 'warn' } as const;
  try {
    await build({
      ...shared,
      // Workspace packages are bundled from their sources.
      resolve: { conditions: ['@saccade/source', 'browser', 'module', 'import', 'default'] },
      define: { __SACCADE_BUILD__: JSON.stringify({ packages: packageVersions(), commit: commit() }) },
      oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
      worker: { format: 'es', ...quietBuild },
      build: { outDir, emptyOutDir: true, target: 'es2023', chunkSizeWarningLimit: 4096, ...quietBuild },
    });
    const server = await preview({ ...shared, build: { outDir }, preview: { port, host, strictPort: port !== 0 } });
    const url = server.resolvedUrls?.local[0] ?? server.resolvedUrls?.network[0];
    if (!url) throw new Error('The server has no address.');
    return {
      url,
      close: async () => {
        await server.close();
        rmSync(outDir, { recursive: true, force: true });
      },
    };
  } catch (error) {
    rmSync(outDir, { recursive: true, force: true });
    throw error;
  }
}
