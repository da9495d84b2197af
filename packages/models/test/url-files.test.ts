import { pathToFileURL } from 'node:url';
import { describe, expect, it } from 'vitest';
import { modelFilesFromUrls } from '../src/resolve/url-files.ts';
import { goldenPath } from './golden-folder.ts';

describe('files at addresses', () => {
  const golden = (name: string) => pathToFileURL(goldenPath(`llama-tied-bf16/${name}`));

  it('are read from the file system, or by fetch', async () => {
    const files = modelFilesFromUrls('model', {
      'config.json': golden('config.json'),
      'other.json': new URL(`data:application/json,${encodeURIComponent('{"a": 1}')}`),
    });
    expect(files.names).toEqual(['config.json', 'other.json']);
    const read = async (name: string) => {
      const source = await files.open(name);
      const bytes = await source.read(0, source.size);
      await source.close();
      return JSON.parse(new TextDecoder().decode(bytes)) as unknown;
    };
    expect(await read('config.json')).toMatchObject({ model_type: 'llama' });
    expect(await read('other.json')).toEqual({ a: 1 });
  });

  it('that are missing are named', async () => {
    const files = modelFilesFromUrls('model', {
      'config.json': golden('nothing.json'),
      'model.safetensors': new URL('http://127.0.0.1:9/model.safetensors'),
    });
    for (const name of files.names) {
      await expect(files.open(name)).rejects.toMatchObject({ name: 'WeightFileError', code: 'not-found' });
    }
    await expect(files.open('tokenizer.json')).rejects.toThrow('model has no tokenizer.json.');
  });
});
