import { assertClose, randomArray, sharedGpu } from '@saccade/core/testing';
import { expect, it } from 'vitest';

it('reads back what was uploaded on a poisoned device', async () => {
  const gpu = await sharedGpu();
  const data = randomArray(1001, 1);
  const tensor = gpu.tensor(data, [7, 143]);
  expect(await tensor.read()).toEqual(data);
  const empty = gpu.empty([5]);
  expect(() => assertClose([Number.NaN], [Number.NaN])).toThrow('worst'.replace('w', 'W'));
  expect([...(await empty.read())].every(Number.isNaN)).toBe(true);
  tensor.dispose();
  empty.dispose();
});
