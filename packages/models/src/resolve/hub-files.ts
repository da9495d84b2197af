import { safetensorsIndexName, shardNames } from '../weights/safetensors/sharded-safetensors.ts';
import { requireRepository, SourceMiss, type SourceRequest } from './model-source.ts';

/** Files that are taken where a repository has them. */
const optionalNames = ['generation_config.json', 'tokenizer.json', 'tokenizer_config.json', 'chat_template.jinja'];

/**
 * The files of a hub repository that make a model, each as a Blob that is read over the network on demand.
 * @throws SourceMiss where the repository has no usable weights, or the hub does not answer
 */
export async function openHubFiles(request: SourceRequest): Promise<Map<string, Blob>> {
  const repository = requireRepository(request);
  const { downloadFile } = await import('@huggingface/hub');
  const get = (path: string): Promise<Blob | null> =>
    downloadFile({
      repo: { type: 'model', name: repository },
      path,
      hubUrl: request.hubUrl,
      fetch: impatientFetch(request),
      xet: false,
    });
  const files = new Map<string, Blob>();
  const add = async (path: string): Promise<Blob | undefined> => {
    const blob = await get(path);
    if (blob) files.set(path, blob);
    return blob ?? undefined;
  };
  // The first answer tells whether the hub is there at all.
  if (!(await add('config.json'))) throw new SourceMiss(`${repository} has no config.json`);
  await Promise.all(optionalNames.map(add));
  if (!(await add('model.safetensors'))) {
    const index = await add(safetensorsIndexName);
    if (!index) throw new SourceMiss(`${repository} has neither model.safetensors nor its shards`);
    for (const shard of shardNames(JSON.parse(await index.text()))) {
      if (!(await add(shard))) throw new SourceMiss(`${repository} has no ${shard}`);
    }
  }
  return files;
}

/** A fetch that gives up when no answer has begun in time, and when the caller aborts. */
function impatientFetch({ hubUrl, hubTimeout, options }: SourceRequest): typeof fetch {
  return async (input, init) => {
    const silence = new AbortController();
    const timer = setTimeout(() => silence.abort(), hubTimeout);
    const signals = options.signal ? [silence.signal, options.signal] : [silence.signal];
    try {
      return await fetch(input, { ...init, signal: AbortSignal.any(signals) });
    } catch (cause) {
      if (silence.signal.aborted) throw new SourceMiss(`no answer from ${hubUrl} within ${hubTimeout / 1000} s`);
      throw new Error(`${hubUrl} cannot be reached`, { cause });
    } finally {
      clearTimeout(timer);
    }
  };
}
