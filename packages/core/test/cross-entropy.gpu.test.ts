import { describe, expect, it } from 'vitest';
import { ArgumentError, crossEntropy, ShapeError } from '../src/index.ts';
import { assertClose, crossEntropyReference, modestGpu, randomArray, sharedGpu } from '../src/testing/index.ts';

describe.each([
  ['full', sharedGpu],
  ['modest', modestGpu],
])('crossEntropy on the %s device', (_, open) => {
  for (const [rows, classes] of [
    [1, 1],
    [3, 7],
    [5, 64],
    [2, 65],
    [7, 4099],
  ] as const) {
    for (const scale of [1, 1e4]) {
      it(`equals the f64 reference: [${rows}, ${classes}], logits of size ${scale}`, async () => {
        const gpu = await open();
        const logits = randomArray(rows * classes, 7, { scale });
        const targets = Array.from({ length: rows }, (_, row) => (row * 31) % classes);
        const losses = gpu.tidy(() =>
          crossEntropy(gpu.tensor(logits, [rows, classes]), gpu.tensor(targets, [rows], 'u32')),
        );
        assertClose(await losses.read(), crossEntropyReference(logits, targets, classes), {
          absolute: 1e-5 * scale,
          relative: 1e-5,
        });
        losses.dispose();
      });
    }
  }

  it('refuses shapes that do not fit', async () => {
    const gpu = await open();
    const logits = gpu.zeros([2, 3]);
    const targets = gpu.zeros([3], 'u32');
    expect(() => crossEntropy(logits, targets)).toThrow(ShapeError);
    const fitting = targets.slice(0, 0, 2);
    expect(() => gpu.tidy(() => crossEntropy(logits, fitting, { labelSmoothing: 1 }))).toThrow(ArgumentError);
    expect(() => gpu.tidy(() => crossEntropy(logits, fitting, { ignoreIndex: -100 }))).toThrow(ArgumentError);
    fitting.dispose();
    logits.dispose();
    targets.dispose();
  });
});
