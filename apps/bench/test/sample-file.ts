import type { TimingSummary } from '@saccade/core';
import type { ResultFile, ResultRow } from '../src/result-file/types.ts';

const times = (median: number): TimingSummary => ({ median, p10: median * 0.93, p90: median * 1.18, n: 20 });

const blank = { seed: 0, samples: 40, status: 'ok', quality: {}, speed: {}, memory: {}, baseline: 'dense' } as const;

/** Rows in the form of a needle scenario: quality against budget at two lengths. */
function needleRows(): ResultRow[] {
  const base = { ...blank, scenario: 'language/needle', model: 'tiny' };
  return [1024, 4096].flatMap((contextLength): ResultRow[] => [
    {
      ...base,
      method: 'dense',
      baseline: null,
      options: { contextLength },
      budget: null,
      density: 1,
      quality: { accuracy: { value: 0.95, low: 0.83, high: 0.99, n: 40 } },
      memory: { peakBytes: 300e6, cacheBytes: 47e6 },
    },
    ...[0.05, 0.1, 0.2].flatMap((budget): ResultRow[] =>
      ['tidaldecode', 'random-tokens', 'sinks-window', 'oracle-top-k'].map((method, index) => {
        const value = Math.max(0, 0.95 - [0.4, 7, 12, 0.2][index]! * (0.22 - budget) * (contextLength / 4096) ** 0.5);
        const half = 0.08 + 0.2 * (1 - value);
        return {
          ...base,
          method,
          options: { topK: Math.round(budget * contextLength), contextLength },
          budget,
          density: budget * 1.3,
          quality: { accuracy: { value, low: Math.max(0, value - half), high: Math.min(1, value + half / 2), n: 40 } },
          memory: { peakBytes: 301e6, cacheBytes: 47e6 },
        };
      }),
    ),
  ]);
}

/** Rows in the form of the bare engine: time against length, lines told apart by an option. */
function attentionRows(): ResultRow[] {
  return [1024, 2048, 4096, 8192].flatMap((contextLength): ResultRow[] => [
    {
      ...blank,
      scenario: 'attention/decode',
      model: null,
      method: 'dense',
      baseline: null,
      options: { contextLength },
      budget: null,
      density: 1,
      speed: { attentionMs: times(contextLength / 130), shareOfPeak: 0.52 },
    },
    ...['queryHead', 'kvHead'].map(
      (lists, index): ResultRow => ({
        ...blank,
        scenario: 'attention/decode',
        model: null,
        method: 'token-list',
        options: { lists, topK: 256, contextLength },
        budget: null,
        density: 256 / contextLength,
        speed: {
          attentionMs: times([5.9, 2.4][index]! + contextLength / 9000),
          speedup: {
            value: contextLength / 130 / [6, 2.6][index]!,
            low: contextLength / 1000,
            high: contextLength / 300,
            n: 20,
          },
        },
      }),
    ),
  ]);
}

/** Rows in the form of whole-model decoding: budgets as small multiples, one method refused. */
function decodeRows(): ResultRow[] {
  const base = { ...blank, scenario: 'language/decode', model: 'tiny' };
  return [256, 512, 1024].flatMap((contextLength): ResultRow[] => [
    {
      ...base,
      method: 'dense',
      baseline: null,
      options: { contextLength },
      budget: null,
      density: 1,
      speed: { decodeMsPerToken: times(90 + contextLength / 12), prefillMs: times(contextLength * 9) },
    },
    ...[0.05, 0.2].map(
      (budget): ResultRow => ({
        ...base,
        method: 'tidaldecode',
        options: { topK: Math.round(budget * contextLength), reselectionLayers: [{ fraction: 0.4 }], contextLength },
        budget,
        density: budget,
        speed: {
          decodeMsPerToken: times(92 + contextLength / 60 + budget * 40),
          speedup: { value: 1.3, low: 1.2, high: 1.5, n: 20 },
        },
      }),
    ),
    {
      ...base,
      method: 'other-method',
      options: { contextLength },
      budget: null,
      density: null,
      samples: 0,
      status: 'refused',
      message: 'other-method cannot run on tiny: needs <image> spans; it has none.',
    },
  ]);
}

/** A made-up file in every form that the schema has; for tests of the report and of the schema only. */
export function sampleFile(): ResultFile {
  return {
    schema: 'saccade-bench/1',
    environment: {
      date: '2026-01-02T03:04:05.678Z',
      commandLine: 'saccade-bench run language/needle attention/decode language/decode --quick',
      quick: true,
      leftOut: ['language/needle: lengths 8192; 6 of 10 repeats'],
      adapter: {
        vendor: 'mesa',
        architecture: 'llvmpipe',
        device: 'llvmpipe (LLVM 15)',
        description: 'llvmpipe: Mesa 25.0.7',
        software: true,
        driver: 'Mesa 25.0.7',
        features: ['shader-f16', 'timestamp-query'],
        limits: { maxBufferSize: 2147483647, maxStorageBufferBindingSize: 134217728 },
      },
      node: 'v20.20.0',
      operatingSystem: 'Linux 6.1 x64',
      cpu: { model: 'A processor', cores: 2 },
      memoryBytes: 16 * 1024 ** 3,
      packages: { '@saccade/core': '0.0.0', webgpu: '0.6.2' },
      commit: '0123456789ab+',
    },
    results: [...needleRows(), ...attentionRows(), ...decodeRows()],
    roofline: {
      peaks: [
        { name: 'f32-fma', description: 'Chains of fused multiply-adds in registers.', unit: 'flop/s', value: 61e9 },
        {
          name: 'read',
          description: 'Reading a 64 MiB buffer.',
          unit: 'byte/s',
          value: { median: 11.2e9, p10: 10.7e9, p90: 11.6e9, n: 9 },
        },
      ],
    },
  };
}
