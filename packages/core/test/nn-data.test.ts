import { describe, expect, it } from 'vitest';
import { ArgumentError } from '../src/index.ts';
import { ImageBatches, splitTokens, TokenWindows } from '../src/nn/index.ts';
import { assertClose } from '../src/testing/index.ts';

const tokens = Uint8Array.from({ length: 103 }, (_, at) => at);

describe('TokenWindows', () => {
  it.each(['random', 'epochs'] as const)('gives windows and what follows, the same for a step (%s)', (order) => {
    const windows = new TokenWindows(tokens, { length: 5, batch: 3, order, seed: 9 });
    for (const step of [0, 1, 17, 400]) {
      const { ids, targets } = windows.at(step);
      expect(windows.at(step)).toEqual({ ids, targets });
      for (const at of ids.keys()) {
        expect(targets[at]).toBe((ids[at] as number) + 1);
        if (at % 5 > 0) expect(ids[at]).toBe((ids[at - 1] as number) + 1);
      }
    }
    expect(windows.at(1)).not.toEqual(windows.at(0));
    const other = new TokenWindows(tokens, { length: 5, batch: 3, order, seed: 10 });
    expect(other.at(0)).not.toEqual(windows.at(0));
  });

  it('begins random windows everywhere', () => {
    const windows = new TokenWindows(tokens, { length: 5, batch: 64 });
    const starts = new Set(
      Array.from({ length: 40 }, (_, step) => windows.at(step).ids.filter((_, at) => at % 5 === 0)).flatMap((some) => [
        ...some,
      ]),
    );
    expect([...starts].sort((a, b) => a - b)).toEqual(Array.from({ length: 98 }, (_, at) => at));
  });

  it('sees every window of an epoch once, in another order and place in the next', () => {
    const windows = new TokenWindows(tokens, { length: 5, batch: 1, order: 'epochs' });
    expect(windows.stepsPerEpoch).toBe(19);
    const epoch = (number: number) =>
      Array.from({ length: 19 }, (_, step) => windows.at(19 * number + step).ids[0] as number);
    for (const number of [0, 1]) {
      const sorted = epoch(number).sort((a, b) => a - b);
      expect(sorted).toEqual(sorted.map((_, window) => (sorted[0] as number) + 5 * window));
    }
    expect(epoch(1)).not.toEqual(epoch(0));
    const beginnings = new Set(Array.from({ length: 40 }, (_, number) => Math.min(...epoch(number))));
    expect([...beginnings].sort()).toEqual([0, 1, 2, 3, 4]);
  });

  it('refuses what does not fit', () => {
    expect(() => new TokenWindows(tokens, { length: 103, batch: 1 })).toThrow(ArgumentError);
    expect(() => new TokenWindows(tokens, { length: 5, batch: 20, order: 'epochs' })).toThrow(/tokens.*105 or more/);
    expect(() => new TokenWindows(tokens, { length: 0, batch: 1 })).toThrow(ArgumentError);
  });

  it('holds out the end of a text', () => {
    const { training, heldOut } = splitTokens(tokens, { heldOut: 0.1 });
    expect([...training, ...heldOut]).toEqual([...tokens]);
    expect(heldOut).toHaveLength(10);
    expect(() => splitTokens(tokens, { heldOut: 1 })).toThrow(ArgumentError);
  });
});

describe('ImageBatches', () => {
  // Two images of 1 x 2 pixels with four channels, and a third.
  const images = {
    pixels: Uint8Array.from([0, 51, 102, 9, 255, 204, 153, 9, 1, 1, 1, 9, 2, 2, 2, 9, 3, 3, 3, 9, 4, 4, 4, 9]),
    height: 1,
    width: 2,
    channels: 4,
    labels: [7, 8, 9],
  };
  const normal = { batch: 1, channels: 3, mean: [0, 0.2, 0], deviation: [1, 0.5, 2] };
  const wanted = [0, 1, 0, 1.2, 0.2, 0.3];

  it('gives each image once per epoch, channel by channel, normalised, with its label', () => {
    const batches = new ImageBatches(images, normal);
    const epoch = [0, 1, 2].map((step) => batches.at(step));
    expect(epoch.map(({ labels }) => labels?.[0]).sort()).toEqual([7, 8, 9]);
    const first = epoch.find(({ labels }) => labels?.[0] === 7)?.images as Float32Array;
    assertClose(first, wanted, { absolute: 1e-6 });
    expect(batches.at(1)).toEqual(epoch[1]);
    expect(new ImageBatches(images, { batch: 2 }).stepsPerEpoch).toBe(1);
    expect(new ImageBatches(images, { batch: 2 }).at(0).images).toHaveLength(16);
  });

  it('mirrors about half of them', () => {
    const batches = new ImageBatches(images, { ...normal, flip: true });
    const seen = Array.from({ length: 120 }, (_, step) => batches.at(step)).filter(({ labels }) => labels?.[0] === 7);
    const mirrored = seen.filter(({ images: [first = 0] }) => first > 0.5);
    expect(mirrored.length / seen.length).toBeGreaterThan(0.25);
    expect(mirrored.length / seen.length).toBeLessThan(0.75);
    const flipped = wanted.map((_, at) => wanted[at ^ 1] as number);
    assertClose(mirrored[0]?.images as Float32Array, flipped, { absolute: 1e-6 });
  });

  it('refuses what does not fit', () => {
    expect(() => new ImageBatches({ ...images, width: 5 }, normal)).toThrow(ArgumentError);
    expect(() => new ImageBatches({ ...images, labels: [1] }, normal)).toThrow(/labels/);
    expect(() => new ImageBatches(images, { ...normal, batch: 4 })).toThrow(/batch/);
    expect(() => new ImageBatches(images, { ...normal, deviation: [1, 0, 1] })).toThrow(/deviation/);
    expect(() => new ImageBatches(images, { ...normal, mean: [1] })).toThrow(/mean/);
  });
});
