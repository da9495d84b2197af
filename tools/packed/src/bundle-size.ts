import { gzipSync } from 'node:zlib';
import { build } from 'esbuild';

/** What an import costs a page. */
export interface BundleSize {
  /** Bytes of the minified bundle, compressed with gzip. */
  readonly gzip: number;
  /** The files that are in it, relative to the project. */
  readonly files: readonly string[];
}

/**
 * Bundles one statement of a project for browsers, minified.
 *
 * @param project the folder whose installed packages are used
 * @param code imports and a use of what they import
 * @param external packages that are left out
 */
export async function bundleSize(project: string, code: string, external: readonly string[] = []): Promise<BundleSize> {
  const { outputFiles, metafile } = await build({
    stdin: { contents: code, resolveDir: project, loader: 'js' },
    bundle: true,
    minify: true,
    write: false,
    metafile: true,
    format: 'esm',
    platform: 'browser',
    target: 'es2022',
    absWorkingDir: project,
    external: [...external],
    loader: { '.safetensors': 'empty' },
  });
  const [output] = outputFiles;
  const [meta] = Object.values(metafile.outputs);
  const files = Object.entries(meta?.inputs ?? {}).filter(([, { bytesInOutput }]) => bytesInOutput > 0);
  return { gzip: gzipSync(output?.contents ?? '').length, files: files.map(([file]) => file) };
}
