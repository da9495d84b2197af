import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sharedGpu } from '@saccade/core/testing';
import { loadLanguageModel } from '@saccade/models';
import { tidalDecodeEntry } from '@saccade/tidaldecode/bench';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { runJob } from '../src/cli/commands/start.ts';
import type { ModelEntry } from '../src/model-entry.ts';
import { persuasionBytes } from '../src/models/persuasion-bytes.ts';
import { Registry } from '../src/registry.ts';
import { readResultFile } from '../src/result-file/read-write.ts';
import { languageDecode, languagePerplexity } from '../src/scenarios/index.ts';
import { fallbackJob, mainJob } from '../src/start/jobs.ts';

/** The chat model where all four places fail. */
const nowhere: ModelEntry = {
  ...mainJob.model,
  load: (gpu, { signal }) =>
    loadLanguageModel(gpu, 'nobody/has-this', { signal, offline: true, cacheFolder: '/nonexistent' }),
};
const short = { lengths: { full: [64], quick: [64] }, repeats: { full: 1, quick: 1 } };
const registry = new Registry({
  scenarios: [languagePerplexity, languageDecode].map((scenario) => ({ ...scenario, ...short })),
  methods: [tidalDecodeEntry],
  models: [nowhere, persuasionBytes],
});

let folder: string;
let printed: string;
beforeEach(() => {
  folder = `${mkdtempSync(join(tmpdir(), 'saccade-start-'))}/`;
  printed = '';
  vi.spyOn(console, 'log').mockImplementation((line: unknown) => {
    printed += `${String(line)}\n`;
  });
  vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
    printed += String(text);
    return true;
  });
});
afterEach(() => {
  vi.restoreAllMocks();
  rmSync(folder, { recursive: true });
});

it('runs on the tiny model where the real one cannot be had, and says so everywhere', async () => {
  const context = { registry, commandLine: 'saccade-bench start', signal: new AbortController().signal };
  const scenarios = ['language/perplexity', 'language/decode'];
  const code = await runJob(context, await sharedGpu(), {
    job: { ...mainJob, model: nowhere },
    fallback: { ...fallbackJob, scenarios },
    folder,
  });
  expect(code).toBe(0);

  for (const place of ['local', 'cache', 'hub', 'pip']) expect(printed).toMatch(new RegExp(`^  ${place}: `, 'm'));
  const label = `*** ${fallbackJob.notice} ***`;
  expect(printed.split(label)).toHaveLength(3);
  expect(printed).toContain('--- dense: every head reads all tokens');
  expect(printed).toContain('--- tidaldecode: heads of sparse layers read 128 bytes');

  expect(printed).toMatch(/persuasion-bytes: the fastest is TidalDecode/);

  const file = readResultFile(`${folder}start.json`);
  expect(file.environment.notice).toBe(fallbackJob.notice);
  expect(file.results.map(({ status }) => status)).toEqual(file.results.map(() => 'ok'));
  expect([...new Set(file.results.map(({ model }) => model))]).toEqual(['persuasion-bytes']);
  const sparse = file.results.filter(({ method }) => method === 'tidaldecode');
  expect(sparse.length).toBeGreaterThanOrEqual(3);
  for (const { options } of sparse) expect(options).toMatchObject({ sparseLayerStart: 1, reselectionLayers: [4] });
  expect(readFileSync(`${folder}start.html`, 'utf8')).toContain('role="note">SmolLM2-135M-Instruct could not be had');
});
