import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { build, type Rolldown } from 'vite';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { platform } from '../src/platform/platform.web.ts';
import type { ModelSource } from '../src/resolve/model-source.ts';
import { loadTokenizer } from '../src/tokenizer/load-tokenizer.ts';
import { openWeights } from '../src/weights/open-weights.ts';
import { readModelConfig } from '../src/weights/read-model-config.ts';
import { goldenPath } from './golden-folder.ts';
import { HubServer } from './hub-server.ts';

let hub: HubServer;
beforeAll(async () => {
  hub = await HubServer.start();
});
afterAll(() => hub.stop());

describe('in a browser', () => {
  it('a model is read from the hub by ranges', async () => {
    hub.serve((requested) => {
      const file = requested.replace('owner/name/', '');
      if (file === 'tokenizer.json') return readFileSync(goldenPath('small-tokenizer/tokenizer.json'));
      const known = ['config.json', 'generation_config.json', 'model.safetensors'].includes(file);
      return known ? readFileSync(goldenPath(`llama-tied-bf16/${file}`)) : 404;
    });
    const request = { name: 'owner/name', repository: 'owner/name', options: {}, hubUrl: hub.url, hubTimeout: 1000 };
    const files = await (platform.sources.hub as ModelSource)(request);
    expect(files.location).toBe(`${hub.url}/owner/name`);
    const weights = await openWeights(files);
    const config = await readModelConfig(weights, files);
    expect(config.layers).toBe(2);
    expect((await loadTokenizer(weights, config, files)).encode('a')).toHaveLength(1);
    const read = await weights.read('model.norm.weight');
    const whole = readFileSync(goldenPath('llama-tied-bf16/model.safetensors'));
    expect(whole.indexOf(read)).toBeGreaterThan(0);
    expect(read.byteLength).toBe(128);
  });

  it('the package bundles without anything of Node', async () => {
    const warnings: string[] = [];
    const bundle = (await build({
      configFile: false,
      logLevel: 'silent',
      resolve: { conditions: ['@saccade/source', 'browser', 'module', 'import'] },
      build: {
        write: false,
        minify: false,
        target: 'es2023',
        lib: { entry: fileURLToPath(new URL('../src/index.ts', import.meta.url)), formats: ['es'] },
        rolldownOptions: { onLog: (_level, { message }) => warnings.push(message) },
      },
    })) as Rolldown.RolldownOutput[];
    const code = bundle
      .flatMap(({ output }) => output.map((file) => (file.type === 'chunk' ? file.code : '')))
      .join('\n');
    expect(warnings).toEqual([]);
    expect(code).toContain('SmolLM2-135M-Instruct');
    // What the bundler puts in the place of modules that browsers lack.
    expect(code).not.toMatch(/from ["']node:|import\(["']node:|__vite-browser-external|yauzl|child_process/);
  });
});
