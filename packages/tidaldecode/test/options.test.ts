import { OptionError, parseOptions } from '@saccade/core';
import { describe, expect, it } from 'vitest';
import { layerRoles, tidalDecode, tidalDecodeOptions } from '../src/index.ts';

const roles = (options: Parameters<typeof tidalDecode>[0], layers: number) =>
  layerRoles(parseOptions(tidalDecodeOptions, options ?? {}), layers);

describe('options', () => {
  it('defaults to the published layers of Llama-3-8B: 0 and 1 dense, 2 and 13 select', () => {
    const all = roles({}, 32);
    expect(all.map((role, layer) => (role === 'sparse' ? -1 : layer)).filter((layer) => layer >= 0)).toEqual([
      0, 1, 2, 13,
    ]);
    expect(all[2]).toBe('select');
    expect(all[13]).toBe('select');
  });

  it('re-selects at layer 12 of SmolLM2-135M’s 30, which its profile recommends', () => {
    expect(roles({}, 30).lastIndexOf('select')).toBe(12);
  });

  it('takes several re-selection layers', () => {
    expect(roles({ sparseLayerStart: 0, reselectionLayers: [2, 4] }, 6)).toEqual([
      'select',
      'sparse',
      'select',
      'sparse',
      'select',
      'sparse',
    ]);
  });

  it('drops a fraction that falls on the first selection layer or before it', () => {
    expect(roles({}, 4)).toEqual(['dense', 'dense', 'select', 'sparse']);
  });

  it('is all dense when sparsity starts behind the last layer', () => {
    expect(roles({ sparseLayerStart: 3, reselectionLayers: [] }, 3)).toEqual(['dense', 'dense', 'dense']);
  });

  it('refuses what is out of range and names it', () => {
    expect(() => tidalDecode({ topK: 0 })).toThrow(OptionError);
    expect(() => tidalDecode({ topK: 0 })).toThrow(/topK.*0.*>= 1/);
    expect(() => tidalDecode({ correctionInterval: 0 })).toThrow(/correctionInterval/);
    expect(() => roles({ sparseLayerStart: 5 }, 4)).toThrow(/sparseLayerStart.*5.*0 to 4/);
    expect(() => roles({ sparseLayerStart: 2, reselectionLayers: [2] }, 8)).toThrow(
      /reselectionLayers.*2.*over sparseLayerStart/,
    );
    expect(() => roles({ sparseLayerStart: 2, reselectionLayers: [8] }, 8)).toThrow(/reselectionLayers.*8/);
    expect(() => roles({ sparseLayerStart: 2, reselectionLayers: [5, 4] }, 8)).toThrow(/ascending/);
  });
});
