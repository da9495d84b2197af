import { denseRows, type Method, type Tensor } from '@saccade/core';
import { assertClose, sharedGpu } from '@saccade/core/testing';
import type { LanguageModel } from '@saccade/models';
import { randomLlama } from '@saccade/models/testing';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type NewMethodState, newMethod } from '../src/index.ts';
import { newMethodReference } from '../src/reference.ts';

const prompt = Array.from({ length: 30 }, (_, index) => (index * 37 + 11) % 251);
const layers = 3;
let model: LanguageModel;

beforeAll(async () => {
  model = await randomLlama(await sharedGpu(), { layers });
});

afterAll(() => model.dispose());

async function generated(method?: Method): Promise<number[]> {
  const ids: number[] = [];
  for await (const piece of model.generate(prompt, { method, maxTokens: 4, ignoreEndOfText: true }))
    ids.push(...piece.ids);
  return ids;
}

it('check 1: gives the dense tokens where everything is kept', async () => {
  expect(await generated(newMethod({ window: 1000 }))).toEqual(await generated());
});

it('check 2: gives the reference’s attention in every layer and head, and counts what it reads', async () => {
  const options = { sinks: 3, window: 6 };
  const method = newMethod(options);
  const calls: Tensor[] = [];
  let state: NewMethodState | undefined;
  const watched: Method<NewMethodState> = {
    ...method,
    attend(context, call, next) {
      const result = method.attend?.(context, call, next) ?? next();
      state = context.state;
      // The first decode step: one call per layer.
      if (context.keyLength === prompt.length + 1)
        for (const rows of [call.q, call.keys, call.values, result.output])
          calls.push(context.gpu.keep(denseRows(rows, rows.shape[2] as number).alias()));
      return result;
    },
  };
  const before = model.gpu.stats().liveBytes;
  await generated(watched);
  const keyLength = prompt.length + 1;
  const { heads, kvHeads, headSize } = model.facts;
  for (let layer = 0; layer < layers; layer++) {
    const [q, keys, values, output] = calls.slice(4 * layer, 4 * layer + 4) as [Tensor, Tensor, Tensor, Tensor];
    const data = await model.gpu.read([q, keys, values, output]);
    const rows = (which: 1 | 2, head: number) => {
      const capacity = keys.shape[2] as number;
      const first = Math.floor((head * kvHeads) / heads) * capacity;
      return Array.from({ length: keyLength }, (_, row) =>
        Array.from(data[which]?.subarray((first + row) * headSize, (first + row + 1) * headSize) ?? []),
      );
    };
    for (let head = 0; head < heads; head++) {
      const own = (which: 0 | 3) => Array.from(data[which]?.subarray(head * headSize, (head + 1) * headSize) ?? []);
      const expected = newMethodReference(own(0), rows(1, head), rows(2, head), options);
      assertClose(own(3), expected, { absolute: 1e-5, name: `layer ${layer}, head ${head}` });
    }
  }
  for (const tensor of calls) tensor.dispose();
  // Three tokens are decoded behind the first one, which the prompt gives.
  expect(state?.keysRead).toBe(3 * layers * (options.sinks + options.window));
  expect(model.gpu.stats().liveBytes).toBe(before);
});
