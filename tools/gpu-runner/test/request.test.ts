import { expect, it } from 'vitest';
import { type AdapterReport, adapterKind } from '../src/adapter.ts';
import { adapterRequest, refusal } from '../src/request.ts';

const lavapipe: AdapterReport = {
  kind: 'lavapipe',
  vendor: 'mesa',
  architecture: 'software',
  device: 'llvmpipe-llvm-15',
  description: 'llvmpipe: Mesa 25.0.7',
  features: [],
  limits: {},
};

it('reads SACCADE_ADAPTER as an order, a kind or a name', () => {
  expect(adapterRequest({})).toEqual({ by: 'order' });
  expect(adapterRequest({ SACCADE_ADAPTER: ' ' })).toEqual({ by: 'order' });
  expect(adapterRequest({ SACCADE_ADAPTER: 'SwiftShader' })).toEqual({ by: 'kind', kind: 'swiftshader' });
  expect(adapterRequest({ SACCADE_ADAPTER: 'GeForce RTX' })).toEqual({ by: 'name', name: 'GeForce RTX' });
});

it('refuses an adapter of another kind or name, with the reason', () => {
  expect(refusal({ by: 'order' }, lavapipe)).toBeUndefined();
  expect(refusal({ by: 'kind', kind: 'lavapipe' }, lavapipe)).toBeUndefined();
  expect(refusal({ by: 'kind', kind: 'hardware' }, lavapipe)).toContain('asks for hardware');
  expect(refusal({ by: 'name', name: 'MESA 25' }, lavapipe)).toBeUndefined();
  expect(refusal({ by: 'name', name: 'GeForce' }, lavapipe)).toContain('GeForce');
});

it('tells software drivers from hardware', () => {
  const identity = { architecture: 'ampere', device: 'nvidia-a10', description: 'NVIDIA: 550.1', fallback: false };
  expect(adapterKind(identity)).toBe('hardware');
  expect(adapterKind({ ...lavapipe, fallback: true })).toBe('lavapipe');
  expect(adapterKind({ ...identity, architecture: 'swiftshader', fallback: true })).toBe('swiftshader');
  expect(adapterKind({ ...identity, device: 'Microsoft Basic Render Driver', fallback: true })).toBe('software');
});
