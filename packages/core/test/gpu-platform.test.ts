import { afterEach, expect, it, vi } from 'vitest';
import { platformGpu as platformGpuOfNode } from '../src/device/provider.node.ts';
import { platformGpu as platformGpuOfWeb } from '../src/device/provider.web.ts';
import { AdapterNotFoundError, openGpu } from '../src/index.ts';

afterEach(() => vi.unstubAllGlobals());

it('a browser without WebGPU is told what it needs', async () => {
  vi.stubGlobal('navigator', {});
  await expect(platformGpuOfWeb()).rejects.toThrow(AdapterNotFoundError);
  await expect(platformGpuOfWeb()).rejects.toThrow(/HTTPS/);
});

it('navigator.gpu comes first, in browsers and in Node', async () => {
  const gpu = {};
  vi.stubGlobal('navigator', { gpu });
  expect(await platformGpuOfWeb()).toBe(gpu);
  expect(await platformGpuOfNode()).toBe(gpu);
});

it('a platform without an adapter is told which driver to get', async () => {
  vi.stubGlobal('navigator', { gpu: { requestAdapter: async () => null } });
  await expect(openGpu()).rejects.toThrow(AdapterNotFoundError);
  await expect(openGpu()).rejects.toThrow(/saccade-gpu setup/);
});
