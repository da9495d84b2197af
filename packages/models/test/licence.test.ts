import { describe, expect, it } from 'vitest';
import { describeLicence, modelLicence } from '../src/resolve/licence.ts';
import type { ModelFiles } from '../src/resolve/types.ts';
import { blobSource } from '../src/weights/blob-source.ts';
import { openWeightSource } from '../src/weights/open-weights.ts';
import { ggufBytes, safetensorsBytes } from './weight-writers.ts';

const filesWith = (card?: string): ModelFiles => ({
  name: 'x',
  source: 'local',
  location: 'x',
  names: card === undefined ? [] : ['README.md'],
  open: async (name) => blobSource(new Blob([card ?? '']), name),
});
const open = (bytes: Uint8Array<ArrayBuffer>) => openWeightSource(blobSource(new Blob([bytes]), 'x'));

describe('the licence of a model', () => {
  it.each([
    ['---\nlicense: apache-2.0\nlanguage: en\n---\n# Model', 'apache-2.0'],
    ["---\r\ntags: [a]\r\nlicense: 'mit'  \r\n---\r\n", 'mit'],
    [
      '---\nlicense: other\nlicense_name: nemotron\nlicense_link: https://example.org/terms\n---\n',
      'nemotron (https://example.org/terms)',
    ],
    ['---\nlicense: other\nlicense_link: LICENSE\n---\n', 'other'],
    ['---\nlicense: gemma\n---\n', 'gemma (https://ai.google.dev/gemma/terms)'],
    ['---\nlanguage: en\n---\nlicense: mit', undefined],
    ['license: mit', undefined],
    ['', undefined],
    [undefined, undefined],
  ])('%j is %s', async (card, licence) => {
    const found = await modelLicence(filesWith(card), await open(safetensorsBytes({})));
    expect(found && describeLicence(found)).toBe(licence);
  });

  it('of a GGUF file is in its metadata', async () => {
    const weights = await open(ggufBytes({ values: [['general.license', 8, (writer) => writer.text('gemma')]] }));
    expect((await modelLicence(filesWith('---\nlicense: mit\n---\n'), weights))?.name).toBe('gemma');
  });

  it('of a known model is known where its files do not tell', async () => {
    const files = { ...filesWith(), name: 'smollm2-135m-instruct' };
    expect(await modelLicence(files, await open(safetensorsBytes({})))).toEqual({ name: 'apache-2.0' });
  });
});
