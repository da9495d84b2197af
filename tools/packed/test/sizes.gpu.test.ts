import { beforeAll, describe, expect, it } from 'vitest';
import { bundleSize } from '../src/bundle-size.ts';
import { publishedPackages } from '../src/pack.ts';
import { installedPackages, type Packed } from './packed.ts';

let packed: Packed;
beforeAll(async () => {
  packed = await installedPackages();
}, 300_000);

const core = ['@saccade/core', '@saccade/core/*'];

/** Budgets of what a page downloads, in KiB of gzip, a tenth or two above what is measured today. */
const budgets = {
  'attention alone': { code: "import { attention } from '@saccade/core/attention'; console.log(attention);", kib: 31 },
  'a device': { code: "import { openGpu } from '@saccade/core'; console.log(openGpu);", kib: 49 },
  'a language model, without core': {
    code: "import { loadLanguageModel } from '@saccade/models'; console.log(loadLanguageModel);",
    kib: 66,
    external: core,
    // As the guide "Deploying to the browser" says: esbuild passes over the entry that the hub's client has for browsers.
    alias: { '@huggingface/hub': './node_modules/@huggingface/hub/dist/browser/index.mjs' },
  },
};

describe.each(Object.entries(budgets))('%s', (_name, { code, kib, ...more }) => {
  it(`stays below ${kib} KiB`, async () => {
    const { external, alias } = { external: [], alias: {}, ...more };
    const { gzip } = await bundleSize(packed.consumer, code, external, alias);
    expect(gzip / 1024).toBeLessThan(kib);
  });
});

const methods = publishedPackages().filter(({ role }) => role === 'method');

it.each(methods.map(({ manifest }) => manifest.name))('%s stays below 12 KiB, without core', async (name) => {
  const { gzip } = await bundleSize(packed.consumer, `import * as all from '${name}'; console.log(all);`, core);
  expect(gzip / 1024).toBeLessThan(12);
});

it('what is not imported is not bundled', async () => {
  const { files } = await bundleSize(packed.consumer, budgets['attention alone'].code);
  const unasked = files.filter((file) => /\/(autodiff|nn|testing|cache|protocol|profiling|statistics)\//.test(file));
  expect(unasked.filter((file) => !file.includes('/attention/'))).toEqual([]);
  const { files: few } = await bundleSize(packed.consumer, "import { openGpu } from '@saccade/core'; console.log(1);");
  expect(few.filter((file) => file.includes('/core/'))).toEqual([]);
});
