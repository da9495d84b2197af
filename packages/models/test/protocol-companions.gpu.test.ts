import { type Gpu, type Method, scale, subtract, type Tensor } from '@saccade/core';
import { assertClose, sharedGpu } from '@saccade/core/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { LanguageModel } from '../src/index.ts';
import { randomLlama } from '../src/testing/index.ts';

let gpu: Gpu;
let model: LanguageModel;

const ids = [5, 9, 30, 2, 41];
const other = [61, 8];

beforeAll(async () => {
  gpu = await sharedGpu();
  model = await randomLlama(gpu, { layers: 2, vocabularySize: 64 });
});

afterAll(() => model.dispose());

function toy(parts: Partial<Method>): Method {
  return { name: 'toy', options: {}, phases: ['prefill', 'decode'], ...parts };
}

async function collect(method?: Method | readonly Method[], prompt: readonly number[] = ids): Promise<number[]> {
  const taken: number[] = [];
  const options = { maxTokens: 4, ignoreEndOfText: true, ...(method ? { method } : {}) };
  for await (const piece of model.generate(prompt, options)) taken.push(...piece.ids);
  return taken;
}

describe('companions', () => {
  it('run in lockstep: one with the same prompt gives the same outputs in every layer and step, and changes nothing', async () => {
    const pairs: Tensor[] = [];
    const lengths: string[] = [];
    const before = gpu.stats().liveBytes;
    const twin = toy({
      companions: () => [{ ids }],
      afterAttention: ({ layer, queryLength, sequence }, { output }, companions) => {
        lengths.push(`${sequence}/${layer}: ${queryLength} beside ${companions.map((each) => each.q.shape[2])}`);
        for (const each of [output, ...companions.map((companion) => companion.output)])
          pairs.push(gpu.keep(each.alias()));
      },
    });
    expect(await collect(twin)).toEqual(await collect());
    const layers = (count: number) => [0, 1].map((layer) => `0/${layer}: ${count} beside ${count}`);
    expect(lengths).toEqual([...layers(5), ...layers(1), ...layers(1), ...layers(1)]);
    const values = await gpu.read(pairs);
    for (let at = 0; at < values.length; at += 2) {
      assertClose(values[at] as Float32Array, values[at + 1] as Float32Array, { absolute: 1e-5 });
    }
    for (const tensor of pairs) tensor.dispose();
    expect(gpu.stats().liveBytes).toBe(before);
  });

  it('with another prompt gives the logits that it has alone, behind the tokens of this sequence', async () => {
    const seen: Tensor[] = [];
    const beside = toy({
      companions: ({ ids: prompt }) => [{ ids: other }, { ids: prompt.slice(1) }],
      processLogits: ({ companions }, logits) => {
        for (const each of companions) seen.push(gpu.keep(each.alias()));
        return logits;
      },
    });
    const taken = await collect(beside);
    expect(taken).toEqual(await collect());
    const values = (await gpu.read(seen)) as Float32Array[];
    for (const [index, prompt] of [other, ids.slice(1)].entries()) {
      const alone = await model.logits([...prompt, ...taken.slice(0, 3)]);
      const rows = (await alone.read()) as Float32Array;
      alone.dispose();
      for (let step = 0; step < 4; step++) {
        const from = 64 * (prompt.length - 1 + step);
        assertClose(values[2 * step + index] as Float32Array, rows.subarray(from, from + 64), { absolute: 1e-3 });
      }
    }
    for (const tensor of seen) tensor.dispose();
  });

  it('guides sampling: the difference to the companion decides', async () => {
    const contrast = toy({
      companions: () => [{ ids }],
      processLogits: ({ companions: [same] }, logits) => subtract(logits, scale(same as Tensor, 2)),
    });
    // logits - 2 logits: the least likely token wins.
    const [first] = await collect(contrast);
    const logits = await model.logits(ids);
    const row = ((await logits.read()) as Float32Array).subarray(4 * 64);
    logits.dispose();
    expect(first).toBe(row.indexOf(Math.min(...row)));
  });

  it('run plain, or with the methods where that is said', async () => {
    for (const withMethods of [false, true]) {
      const acted: number[] = [];
      const acting = toy({
        companions: () => [{ ids: other, withMethods }],
        attend: ({ layer, sequence }, _, next) => {
          if (layer === 0) acted.push(sequence);
          return next();
        },
      });
      await collect(acting);
      expect(acted).toEqual(withMethods ? [0, 1, 0, 1, 0, 1, 0, 1] : [0, 0, 0, 0]);
    }
  });

  it('reach every pass of a long prompt, so that the last tokens meet in the last one', async () => {
    const rows: string[] = [];
    const long = Array.from({ length: 1100 }, (_, index) => index % 64);
    const watching = toy({
      companions: () => [{ ids: [1, 2, 3, 4] }],
      afterAttention: ({ layer, queryLength, phase }, _, companions) => {
        if (layer === 0 && phase === 'prefill') rows.push(`${queryLength}+${companions[0]?.q.shape[2]}`);
      },
    });
    await collect(watching, long);
    expect(rows).toEqual(['366+1', '367+1', '367+2']);
  });

  it('the prompt runs in one pass where a method wants that', async () => {
    const rows: number[] = [];
    const whole = toy({
      wholePrompt: true,
      attend: ({ layer, queryLength, phase }, _, next) => {
        if (layer === 0 && phase === 'prefill') rows.push(queryLength);
        return next();
      },
    });
    const long = Array.from({ length: 600 }, (_, index) => index % 64);
    expect(await collect(whole, long)).toEqual(await collect(undefined, long));
    expect(rows).toEqual([600]);
  });

  it('may be given by one of several methods that are asked', async () => {
    const asked: string[] = [];
    const silent: Method = {
      ...toy({
        companions: () => {
          asked.push('silent');
          return [];
        },
      }),
      name: 'silent',
    };
    const beside = toy({ companions: () => [{ ids: other }] });
    expect(await collect([silent, beside])).toEqual(await collect(undefined));
    expect(asked).toEqual(['silent']);
    const another: Method = { ...beside, name: 'another' };
    await expect(collect([beside, silent, another])).rejects.toThrow(/toy and another cannot run together/);
  });

  it('are refused behind a prefill that ran without them, and without tokens', async () => {
    using prefill = await model.prefill(ids);
    const beside = toy({ companions: () => [{ ids: other }] });
    const generation = model.generate(prefill, { method: beside });
    await expect(generation.next()).rejects.toThrow(/toy runs further sequences beside the prompt/);
    await expect(collect(toy({ companions: () => [{ ids: [] }] }))).rejects.toThrow(/toy: companion.*no tokens/);
  });
});
