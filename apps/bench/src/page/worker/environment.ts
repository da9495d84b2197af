import type { Gpu } from '@saccade/core';
import { describeAdapter } from '../../result-file/adapter-facts.ts';
import type { Environment } from '../../result-file/types.ts';

/** Facts about this browser and its adapter, for the result file. */
export function browserEnvironment(gpu: Gpu): Environment {
  const { userAgent, hardwareConcurrency, platform } = navigator;
  // Chromium alone tells the memory, in GiB and rounded.
  const { deviceMemory = 0 } = navigator as Navigator & { readonly deviceMemory?: number };
  return {
    date: new Date().toISOString(),
    commandLine: 'saccade-bench serve',
    quick: true,
    leftOut: [],
    adapter: describeAdapter(gpu),
    node: null,
    browser: userAgent,
    operatingSystem: platform || 'unknown',
    cpu: { model: 'not told by browsers', cores: Math.max(1, hardwareConcurrency) },
    memoryBytes: deviceMemory * 2 ** 30,
    ...__SACCADE_BUILD__,
  };
}
