import { describe, expect, it } from 'vitest';
import { attentionCost } from '../src/attention/cost.ts';
import { planCall } from '../src/attention/plan-call.ts';
import type { Capabilities } from '../src/device/capabilities.ts';
import { defaultMaxDispatchFlops, longestSeconds, workgroupsPerDispatch } from '../src/device/work-bound.ts';
import { tileSize } from '../src/ops/matmul/tile.ts';

/** What a watchdog allows. */
const watchdogSeconds = 2;

/** WebGPU's defaults. */
const capabilities: Capabilities = {
  f16: false,
  subgroups: false,
  subgroupMinSize: 1,
  subgroupMaxSize: 1,
  timestamps: false,
  software: false,
  maxStorageBinding: 2 ** 27,
  maxBufferSize: 2 ** 28,
  maxStorageBuffers: 8,
  maxWorkgroupStorage: 16_384,
  maxInvocations: 256,
  maxWorkgroupsPerDimension: 65_535,
  storageAlignment: 256,
  uniformAlignment: 256,
};

const nobody = { vendor: '', architecture: '', device: '', description: '' };

/** Devices at their peak FLOP/s. */
const devices = [
  { name: 'integrated, 0.3 TFLOP/s', peak: 0.3e12, adapter: { ...nobody, vendor: 'intel', architecture: 'gen-9' } },
  { name: 'middle, 5 TFLOP/s', peak: 5e12, adapter: { ...nobody, vendor: 'nvidia', architecture: 'turing' } },
  { name: 'large, 40 TFLOP/s', peak: 40e12, adapter: { ...nobody, vendor: 'nvidia', architecture: 'lovelace' } },
];

const context = 131_072;

function attentionLaunch(queries: number, headSize: number) {
  const shape = { batches: 1, heads: 32, kvHeads: 8, queries, keys: context, headSize };
  const options = { causal: true };
  const sources = { range: true } as const;
  const { plan, rowGroups } = planCall({ capabilities }, shape, options, sources);
  return { workgroups: rowGroups * plan.launchedParts, flops: attentionCost(shape, options, sources).flops };
}

function productLaunch(rows: number, inner: number, columns: number) {
  const workgroups = Math.ceil(rows / tileSize) * Math.ceil(columns / tileSize);
  return { workgroups, flops: 2 * rows * inner * columns };
}

/** Launches of a model of 8B parameters at 128k; all but decoding run for seconds on the slowest device. */
const launches = {
  'attention of a chunk of 512 queries': attentionLaunch(512, 128),
  'attention of all queries': attentionLaunch(context, 128),
  'attention of all queries, head size 256': attentionLaunch(context, 256),
  'product of all tokens': productLaunch(context, 4096, 28_672),
  'logits of a chunk': productLaunch(512, 4096, 128_256),
  'attention of a decode step': attentionLaunch(1, 128),
};

describe.each(devices)('dispatches at a context of 128k: $name', ({ peak, adapter }) => {
  const bound = defaultMaxDispatchFlops(capabilities, adapter);

  it.each(Object.entries(launches))('%s', (_, { workgroups, flops }) => {
    const perDispatch = workgroupsPerDispatch(workgroups, flops, bound);
    const largest = (flops * perDispatch) / workgroups;
    expect(largest).toBeLessThanOrEqual(bound);
    expect(largest / peak).toBeLessThan(longestSeconds);
    // Also where a kernel reaches a tenth of the peak.
    expect(largest / (peak / 10)).toBeLessThan(watchdogSeconds);
  });

  it('leaves a decode step whole', () => {
    const { workgroups, flops } = launches['attention of a decode step'];
    expect(workgroupsPerDispatch(workgroups, flops, bound)).toBe(workgroups);
  });

  it('makes dispatches long beside the tens of microseconds that one may cost', () => {
    const { workgroups, flops } = launches['attention of a chunk of 512 queries'];
    const perDispatch = workgroupsPerDispatch(workgroups, flops, bound);
    expect((flops * perDispatch) / workgroups / peak).toBeGreaterThan(2e-3);
  });
});

it('without the bound, a chunk would not pass the watchdog of the slowest device', () => {
  expect(launches['attention of a chunk of 512 queries'].flops / 0.3e12).toBeGreaterThan(watchdogSeconds);
});

describe('defaultMaxDispatchFlops', () => {
  it.each([
    ['intel', 'gen-12lp', '', 5e10],
    ['qualcomm', 'adreno-6xx', '', 5e10],
    ['', '', '', 5e10],
    ['amd', 'rdna-2', 'AMD Radeon Graphics', 5e10],
    ['amd', 'rdna-3', 'AMD Radeon RX 7900 XTX', 2.5e11],
    ['apple', 'metal-3', '', 2.5e11],
    ['nvidia', 'pascal', '', 2.5e11],
    ['nvidia', 'ampere', '', 5e11],
  ])('%s %s %s', (vendor, architecture, description, flops) => {
    expect(defaultMaxDispatchFlops(capabilities, { ...nobody, vendor, architecture, description })).toBe(flops);
  });

  it('does not bound software adapters', () => {
    expect(defaultMaxDispatchFlops({ software: true }, nobody)).toBe(Number.POSITIVE_INFINITY);
  });
});

describe('workgroupsPerDispatch', () => {
  it('makes ranges about equal, none over the bound', () => {
    expect(workgroupsPerDispatch(10, 10, 10)).toBe(10);
    expect(workgroupsPerDispatch(10, 11, 10)).toBe(5);
    // Two of three workgroups would be over it.
    expect(workgroupsPerDispatch(3, 1.9, 1)).toBe(1);
    expect(workgroupsPerDispatch(100, 100, 34)).toBe(34);
    expect(workgroupsPerDispatch(101, 101, 34)).toBe(34);
    expect(workgroupsPerDispatch(103, 103, 34)).toBe(26);
  });

  it('does not divide a workgroup', () => {
    expect(workgroupsPerDispatch(4, 400, 1)).toBe(1);
    expect(workgroupsPerDispatch(1, 400, 1)).toBe(1);
    expect(workgroupsPerDispatch(7, 0, 1)).toBe(7);
  });
});
