import { linear, type MatmulSchedule, quantizedTensor } from '@saccade/core';
import { assertClose, modestGpu, randomArray, sharedGpu } from '@saccade/core/testing';
import { describe, it } from 'vitest';
import { dequantizeReference } from '../src/testing/reference/dequantize.ts';
import { linearReference } from '../src/testing/reference/matmul.ts';
import { randomGguf } from './quantized-blocks.ts';

const schedules: readonly MatmulSchedule[] = ['lanes', 'vector', 'tile'];
const close = (k: number) => ({ absolute: 2e-6 * Math.max(k, 4), relative: 1e-5 });

describe('linear', () => {
  for (const modest of [false, true]) {
    it.each(['f32', 'f16', 'bf16'] as const)(
      `%s weights equal the reference${modest ? ' on WebGPU defaults' : ''}`,
      async (dtype) => {
        const gpu = await (modest ? modestGpu() : sharedGpu());
        for (const [m, k, n] of [
          [1, 64, 33],
          [1, 35, 7],
          [2, 34, 16],
          [3, 8, 1],
          [4, 31, 65],
          [5, 96, 34],
          [37, 66, 43],
        ] as const) {
          for (const schedule of schedules) {
            const x = randomArray(m * k, 1);
            const weight = gpu.tensor(randomArray(n * k, 2), [n, k], dtype);
            const out = gpu.tidy(() => linear(gpu.tensor(x, [m, k]), weight, { schedule }));
            const expected = linearReference(x, await weight.read(), m, k, n);
            assertClose(await out.read(), expected, { ...close(k), name: `${schedule} ${dtype} ${m}x${k}x${n}` });
            out.dispose();
            weight.dispose();
          }
        }
      },
    );

    it.each(['q4_0', 'q4_1', 'q8_0'] as const)(
      `%s weights equal the reference${modest ? ' on WebGPU defaults' : ''}`,
      async (dtype) => {
        const gpu = await (modest ? modestGpu() : sharedGpu());
        for (const [m, k, n] of [
          [1, 32, 1],
          [1, 576, 37],
          [2, 64, 33],
          [3, 96, 31],
          [4, 160, 8],
          [5, 32, 65],
          [35, 224, 67],
        ] as const) {
          const gguf = randomGguf(dtype, (n * k) / 32, m);
          const values = dequantizeReference(dtype, gguf);
          const x = randomArray(m * k, 1);
          const weight = quantizedTensor(gpu, dtype, [n, k], gguf);
          for (const schedule of schedules) {
            const out = gpu.tidy(() => linear(gpu.tensor(x, [m, k]), weight, { schedule }));
            assertClose(await out.read(), linearReference(x, values, m, k, n), {
              ...close(k),
              name: `${schedule} ${dtype} ${m}x${k}x${n}`,
            });
            out.dispose();
          }
          weight.dispose();
        }
      },
    );
  }
});
