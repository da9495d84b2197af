import { describe, expect, it } from 'vitest';
import { modelLicence } from '../src/resolve/licence.ts';
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
    ['---\nlicense: other\nlicense_name: gemma\n---\n', 'gemma'],
    ['---\nlicense: other\n---\n', 'other'],
    ['---\nlanguage: en\n---\nlicense: mit', undefined],
    ['license: mit', undefined],
    ['', undefined],
    [undefined, undefined],
  ])('%j is %s', async (card, licence) => {
    expect(await modelLicence(filesWith(card), await open(safetensorsBytes({})))).toBe(licence);
  });

  it('of a GGUF file is in its metadata', async () => {
    const weights = await open(ggufBytes({ values: [['general.license', 8, (writer) => writer.text('gemma')]] }));
    expect(await modelLicence(filesWith('---\nlicense: mit\n---\n'), weights)).toBe('gemma');
  });
});
