import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { build, type Rolldown } from 'vite';
import { expect, it } from 'vitest';
import { persuasionBytes, persuasionDiffusion, scenes, shapesDit } from '../src/index.ts';

it('bundles for browsers with the weights as an asset', async () => {
  const bundle = (await build({
    configFile: false,
    logLevel: 'silent',
    resolve: { conditions: ['@saccade/source', 'browser', 'module', 'import'] },
    build: {
      write: false,
      target: 'es2023',
      rolldownOptions: {
        input: fileURLToPath(new URL('../src/index.ts', import.meta.url)),
        preserveEntrySignatures: 'strict',
      },
    },
  })) as Rolldown.RolldownOutput;
  const assets = bundle.output.filter((file) => file.type === 'asset');
  const weights = assets.filter(({ fileName }) => fileName.endsWith('.safetensors'));
  for (const { files } of [persuasionBytes, persuasionDiffusion, scenes, shapesDit]) {
    const [name] = Object.keys(files).filter((each) => each.endsWith('.safetensors')) as [string];
    const stored = readFileSync(files[name] as URL);
    expect(weights.some(({ source }) => stored.equals(source as Uint8Array))).toBe(true);
  }
  const code = bundle.output.map((file) => (file.type === 'chunk' ? file.code : '')).join('\n');
  expect(code).not.toMatch(/from ["']node:|__vite-browser-external/);
});
