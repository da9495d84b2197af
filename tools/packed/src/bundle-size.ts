import { gzipSync } from 'node:zlib';
import { build, type Metafile } from 'esbuild';

/** What an import costs a page. */
export interface BundleSize {
  /** Bytes of the minified bundle, compressed with gzip; what is imported on demand is not in it. */
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
 * @param alias files of the project that stand for packages
 */
export async function bundleSize(
  project: string,
  code: string,
  external: readonly string[] = [],
  alias: Readonly<Record<string, string>> = {},
): Promise<BundleSize> {
  const { outputFiles, metafile } = await build({
    stdin: { contents: code, resolveDir: project, loader: 'js' },
    bundle: true,
    splitting: true,
    outdir: 'out',
    minify: true,
    write: false,
    metafile: true,
    format: 'esm',
    platform: 'browser',
    target: 'es2022',
    absWorkingDir: project,
    external: [...external],
    alias: { ...alias },
    loader: { '.safetensors': 'empty' },
  });
  const loaded = loadedAtOnce(metafile);
  const files = loaded.flatMap((name) =>
    Object.entries(metafile.outputs[name]?.inputs ?? {})
      .filter(([, { bytesInOutput }]) => bytesInOutput > 0)
      .map(([file]) => file),
  );
  const chunks = outputFiles.filter(({ path }) =>
    loaded.some((name) => path.replaceAll('\\', '/').endsWith(`/${name}`)),
  );
  return { gzip: chunks.reduce((sum, { contents }) => sum + gzipSync(contents).length, 0), files };
}

/** The entry and the chunks that it imports before it runs. */
function loadedAtOnce({ outputs }: Metafile): string[] {
  const entry = Object.keys(outputs).find((name) => outputs[name]?.entryPoint === '<stdin>');
  const loaded = new Set(entry === undefined ? [] : [entry]);
  for (const name of loaded) {
    for (const { path, kind } of outputs[name]?.imports ?? [])
      if (kind === 'import-statement' && path in outputs) loaded.add(path);
  }
  return [...loaded];
}
