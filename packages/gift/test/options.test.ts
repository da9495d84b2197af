import { ArgumentError, OptionError, type TextSpan } from '@saccade/core';
import { describe, expect, it } from 'vitest';
import { gift, informativePositions, publishedSettings } from '../src/index.ts';
import { layersOf, onePass } from '../src/layers.ts';

const kinds = (count: number) => ({ layerKinds: new Array<'global'>(count).fill('global') });
const defaults = { saliencyLayers: null, enhanceLayers: null };

it.each([{ alpha: -1 }, { headFraction: 0 }, { headFraction: 1.5 }, { beta: -1 }, { clipSigma: 0 }, { gamma: 1 }])(
  'refuses %j',
  (options) => {
    expect(() => gift(options as never)).toThrow(OptionError);
  },
);

describe('layers', () => {
  it('are the published ones of LLaVA at its depth', () => {
    const { saliencyLayers, enhanceLayers } = publishedSettings['llava-1.5-7b'];
    expect(layersOf(defaults, kinds(32))).toEqual({ saliency: saliencyLayers, enhance: enhanceLayers });
  });

  it.each([2, 3, 4, 12, 24, 28, 40])('of %i: what is watched lies before what is changed', (count) => {
    const layers = layersOf(defaults, kinds(count));
    expect(onePass(layers)).toBe(true);
    expect(layers.enhance.length).toBeGreaterThan(0);
    expect(layers.enhance.at(-1)).toBeLessThan(count);
  });

  it('those of Qwen2-VL take a pass of their own', () => {
    const { saliencyLayers, enhanceLayers } = publishedSettings['qwen2-vl-7b'];
    expect(onePass(layersOf({ saliencyLayers, enhanceLayers }, kinds(28)))).toBe(false);
  });
});

describe('informative words', () => {
  const question: TextSpan = {
    start: 7,
    end: 11,
    positions: [7, 8, 9, 10],
    text: 'a red car?',
    characters: [
      [0, 1],
      [1, 5],
      [5, 9],
      [9, 10],
    ],
  };

  it('are the tokens that share a character with a word, each once', () => {
    expect(informativePositions(question, () => [[2, 5]])).toEqual([8]);
    expect(
      informativePositions(question, () => [
        [6, 9],
        [2, 6],
      ]),
    ).toEqual([8, 9]);
  });

  it('all count where there is none', () => {
    expect(informativePositions(question)).toEqual([7, 8, 9, 10]);
    expect(informativePositions(question, () => [])).toEqual([7, 8, 9, 10]);
  });

  it('refuses characters that the question does not have', () => {
    expect(() => informativePositions(question, () => [[2, 11]])).toThrow(ArgumentError);
    expect(() => informativePositions(question, () => [[2, 2]])).toThrow(ArgumentError);
  });
});
