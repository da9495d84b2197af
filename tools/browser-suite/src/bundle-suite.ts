import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build, type Plugin } from 'esbuild';

const page = fileURLToPath(new URL('../page/', import.meta.url));

/** Vitest in the page, and its modules read from the address of the page in place of the disk. */
const inThePage: Plugin = {
  name: 'in-the-page',
  setup({ onResolve }) {
    onResolve({ filter: /^vitest$/ }, () => ({ path: join(page, 'vitest.ts') }));
    onResolve({ filter: /^node:fs$/ }, () => ({ path: join(page, 'node-fs.ts') }));
  },
};

/**
 * Bundles test files for a page, from the packages' sources: a module each, by its name with the ending `.js`, and those
 * that they share.
 *
 * @param files paths of test files
 */
export async function bundleSuite(files: readonly string[]): Promise<ReadonlyMap<string, Uint8Array>> {
  const { outputFiles } = await build({
    entryPoints: [join(page, 'run-file.ts'), ...files],
    outdir: '/suite',
    entryNames: '[name]',
    chunkNames: 'shared-[hash]',
    bundle: true,
    splitting: true,
    write: false,
    format: 'esm',
    platform: 'browser',
    target: 'es2022',
    conditions: ['@saccade/source'],
    sourcemap: 'inline',
    plugins: [inThePage],
    // Modules of this package serve test files of any other.
    nodePaths: [fileURLToPath(new URL('../node_modules/', import.meta.url))],
    logLevel: 'error',
  });
  return new Map(outputFiles.map(({ path, contents }) => [basename(path), contents]));
}
