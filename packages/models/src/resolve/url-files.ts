import { platform } from '#platform';
import { blobSource } from '../weights/blob-source.ts';
import type { ByteSource } from '../weights/types.ts';
import { WeightFileError } from '../weights/weight-file-error.ts';
import type { ModelFiles } from './types.ts';

/**
 * A model's files at addresses that the program knows, such as assets of a web page or files of a package: `file:` in Node,
 * everything that `fetch` takes elsewhere. Each file is fetched whole when it is opened, and nothing is kept.
 *
 * @param name What the model is called.
 * @param urls Addresses by the names that the files have in a checkpoint: `config.json`, `tokenizer.json`,
 *   `model.safetensors` and so on.
 */
export function modelFilesFromUrls(name: string, urls: Readonly<Record<string, URL>>): ModelFiles {
  return {
    name,
    source: 'local',
    location: name,
    names: Object.keys(urls),
    async open(file) {
      const url = Object.hasOwn(urls, file) ? urls[file] : undefined;
      if (!url) throw new WeightFileError('not-found', `${name} has no ${file}.`);
      return platform.openUrl(url) ?? fetchFile(url, file);
    },
  };
}

async function fetchFile(url: URL, file: string): Promise<ByteSource> {
  const response = await fetch(url).catch((cause: unknown) => {
    throw new WeightFileError('not-found', `${file} cannot be fetched from ${url}.`, { cause });
  });
  if (!response.ok) {
    throw new WeightFileError('not-found', `${file} cannot be fetched from ${url}: status ${response.status}.`);
  }
  return blobSource(await response.blob(), file);
}
