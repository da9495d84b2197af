import { type ActivationHooks, activationNames, type Gpu, MethodRun, scale, type Tensor } from '@saccade/core';
import { assertClose, sharedGpu } from '@saccade/core/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { LanguageModel } from '../src/index.ts';
import { randomLlama } from '../src/testing/index.ts';

let gpu: Gpu;
let model: LanguageModel;

beforeAll(async () => {
  gpu = await sharedGpu();
  model = await randomLlama(gpu, { layers: 2, vocabularySize: 64 });
});

afterAll(() => model.dispose());

const ids = [5, 9, 30, 2, 41];

/** Logits of all tokens, [5, 64]. */
async function logitsWith(hooks: ActivationHooks, tokens = ids): Promise<Float32Array> {
  const logits = await model.logits(tokens, hooks);
  const values = (await logits.read()) as Float32Array;
  logits.dispose();
  return values;
}

/** Activations by name; the caller has no tensor to free. */
async function observed(pattern: string, tokens = ids): Promise<Map<string, Float32Array>> {
  const kept = new Map<string, Tensor>();
  await logitsWith(
    { observe: { [pattern]: (value, { name }) => void kept.set(name, gpu.keep(value.alias())) } },
    tokens,
  );
  const values = (await gpu.read([...kept.values()])) as Float32Array[];
  for (const tensor of kept.values()) tensor.dispose();
  return new Map([...kept.keys()].map((name, index) => [name, values[index] as Float32Array]));
}

/** One activation while others are edited. */
async function observedWith(edit: ActivationHooks['edit'], name: string): Promise<Float32Array> {
  let kept: Tensor | undefined;
  await logitsWith({
    edit,
    observe: {
      [name]: (value) => {
        kept = gpu.keep(value.alias());
      },
    },
  });
  const values = (await kept?.read()) as Float32Array;
  kept?.dispose();
  return values;
}

const sum = (a: Float32Array, b: Float32Array) => a.map((value, index) => value + (b[index] as number));

describe('names', () => {
  it('every name is met once per pass, in order, with its shape', async () => {
    const met: string[] = [];
    const shapes = new Map<string, string>();
    await logitsWith({
      observe: {
        '**': ({ shape }, { name }) => {
          met.push(name);
          shapes.set(name, shape.join('x'));
        },
      },
    });
    expect(met).toEqual(activationNames(model.facts));
    const expected = {
      embedding: '5x64',
      'blocks.1.residual.pre': '5x64',
      'blocks.1.attention.q': '5x4x16',
      'blocks.1.attention.k': '5x2x16',
      'blocks.1.attention.v': '5x2x16',
      'blocks.1.attention.z': '5x4x16',
      'blocks.1.attention.output': '5x64',
      'blocks.1.mlp.post': '5x96',
      finalNorm: '5x64',
      logits: '5x64',
    };
    for (const [name, shape] of Object.entries(expected)) expect([name, shapes.get(name)]).toEqual([name, shape]);
  });

  it('the residual stream is the sum of what the branches add', async () => {
    const values = await observed('**');
    const of = (name: string) => values.get(name) as Float32Array;
    for (const layer of [0, 1]) {
      const at = (name: string) => of(`blocks.${layer}.${name}`);
      assertClose(at('residual.mid'), sum(at('residual.pre'), at('attention.output')), { absolute: 1e-4 });
      assertClose(at('residual.post'), sum(at('residual.mid'), at('mlp.output')), { absolute: 1e-4 });
    }
    expect(of('blocks.1.residual.pre')).toEqual(of('blocks.0.residual.post'));
    expect(of('blocks.0.residual.pre')).toEqual(of('embedding'));
    assertClose(of('logits'), await logitsWith({}), { absolute: 1e-3 });
  });

  it('a name that fits nothing is refused, with names that are near', async () => {
    await expect(logitsWith({ observe: { 'blocks.1.attention.outptu': () => undefined } })).rejects.toThrow(
      /blocks\.1\.attention\.outptu.*blocks\.1\.attention\.output/,
    );
    await expect(logitsWith({ edit: { 'blocks.2.**': () => undefined } })).rejects.toThrow(/activation name/);
  });
});

describe('cost', () => {
  it('a dense run, a run whose method fills no seam, and one whose observer needs no kernel apart record the same dispatches', async () => {
    const dispatches = async (hooks: ActivationHooks, phases: readonly ('prefill' | 'decode')[] = []) => {
      const run = await MethodRun.start(model, { name: 'none', options: {}, phases }, hooks);
      const before = gpu.stats().dispatches;
      model.forward(ids, { run, logits: 'none' }).hidden.dispose();
      run.dispose();
      return gpu.stats().dispatches - before;
    };
    const before = gpu.stats().dispatches;
    model.forward(ids, { logits: 'none' }).hidden.dispose();
    const dense = gpu.stats().dispatches - before;
    expect(await dispatches({}, ['prefill'])).toBe(dense);
    const silent = () => undefined;
    expect(await dispatches({ observe: { 'blocks.*.residual.*': silent, 'blocks.*.attention.z': silent } })).toBe(
      dense,
    );
    // The fused residual of one projection is taken apart: one more.
    expect(await dispatches({ observe: { 'blocks.0.mlp.output': silent } })).toBe(dense + 1);
  });
});

describe('edit', () => {
  it('patching the residual stream with that of another prompt gives the other prompt’s logits', async () => {
    const other = [7, 7, 1, 60, 3];
    const patch = await observed('blocks.1.residual.pre', other);
    const from = gpu.tensor(patch.get('blocks.1.residual.pre') as Float32Array, [5, 64]);
    expect(await logitsWith({ edit: { 'blocks.1.residual.pre': () => from } })).toEqual(await logitsWith({}, other));
    expect(from.disposed).toBe(false);
    from.dispose();
  });

  it('silences one token only, found by its position', async () => {
    const zero = (value: Tensor) => scale(value, 0);
    const edit = { 'blocks.0.attention.output': { positions: [3], callback: zero } };
    const values = await observedWith(edit, 'blocks.0.attention.output');
    const dense = (await observed('blocks.0.attention.output')).get('blocks.0.attention.output') as Float32Array;
    for (let token = 0; token < 5; token++) {
      const row = values.subarray(64 * token, 64 * token + 64);
      expect([...row]).toEqual(token === 3 ? new Array(64).fill(0) : [...dense.subarray(64 * token, 64 * token + 64)]);
    }
    // The same token by its place from the end.
    const fromEnd = { 'blocks.0.attention.output': { positions: [-2], callback: zero } };
    expect(await observedWith(fromEnd, 'blocks.0.attention.output')).toEqual(values);
  });

  it('is seen by observers, and refuses another shape', async () => {
    const values = await observedWith({ 'blocks.1.attention.z': (z) => scale(z, 0) }, 'blocks.1.attention.output');
    expect(values.every((value) => value === 0)).toBe(true);
    await expect(logitsWith({ edit: { 'blocks.0.mlp.post': (x) => x.slice(0, 0, 1) } })).rejects.toThrow(
      /edit of blocks\.0\.mlp\.post.*f32\[1,96\].*f32\[5,96\]/,
    );
  });
});

describe('attention.pattern', () => {
  const name = 'blocks.1.attention.pattern';

  it('holds probability rows: they sum to 1, see no later token, and weigh the values into z', async () => {
    const values = await observed('blocks.1.attention.*');
    const [pattern, v, z] = ['pattern', 'v', 'z'].map((kind) => values.get(`blocks.1.attention.${kind}`)) as [
      Float32Array,
      Float32Array,
      Float32Array,
    ];
    expect(pattern.length).toBe(5 * 4 * 5);
    const weighted = Float64Array.from(z, (_, at) => {
      const [token, head, element] = [Math.floor(at / 64), Math.floor(at / 16) % 4, at % 16];
      let total = 0;
      for (let key = 0; key < 5; key++) {
        const weight = pattern[(token * 4 + head) * 5 + key] as number;
        if (key > token) expect(weight).toBe(0);
        total += weight * (v[(key * 2 + Math.floor(head / 2)) * 16 + element] as number);
      }
      return total;
    });
    assertClose(z, weighted, { absolute: 1e-4 });
  });

  it('an edit of the last row reaches its output only', async () => {
    const before = (await observed('blocks.1.attention.z')).get('blocks.1.attention.z') as Float32Array;
    const v = (await observed('blocks.1.attention.v')).get('blocks.1.attention.v') as Float32Array;
    // All heads of the last token look at token 2 alone.
    const row = Float32Array.from({ length: 4 * 5 }, (_, at) => (at % 5 === 2 ? 1 : 0));
    let shape: readonly number[] = [];
    const edit = {
      [name]: {
        positions: [-1],
        callback: (pattern: Tensor) => {
          shape = pattern.shape;
          return gpu.tensor(row, [1, 4, 5]);
        },
      },
    };
    const after = await observedWith(edit, 'blocks.1.attention.z');
    expect(shape).toEqual([1, 4, 5]);
    expect(after.subarray(0, 4 * 64)).toEqual(before.subarray(0, 4 * 64));
    const expected = Float32Array.from(
      { length: 64 },
      (_, at) => v[(2 * 2 + Math.floor(at / 32)) * 16 + (at % 16)] as number,
    );
    assertClose(after.subarray(4 * 64), expected, { absolute: 1e-5 });
  });
});

describe('generate', () => {
  it('observers and editors act in prefill and in every step', async () => {
    const seen: string[] = [];
    const bias = gpu.tensor(
      Float32Array.from({ length: 64 }, (_, id) => (id === 7 ? 1 : 0)),
      [1, 64],
    );
    const taken: number[] = [];
    const options = {
      maxTokens: 3,
      ignoreEndOfText: true,
      observe: {
        'blocks.1.attention.q': ({ shape }: Tensor, { phase, start }: { phase: string; start: number }) =>
          void seen.push(`${phase} ${shape[0]} from ${start}`),
      },
      edit: { logits: () => bias },
    };
    const before = gpu.stats().liveBytes;
    for await (const piece of model.generate(ids, options)) taken.push(...piece.ids);
    expect(taken).toEqual([7, 7, 7]);
    expect(seen).toEqual(['prefill 5 from 0', 'decode 1 from 5', 'decode 1 from 6']);
    expect(gpu.stats().liveBytes).toBe(before);
    bias.dispose();
  });

  it('is refused beside a run, which has hooks of its own', () => {
    const run = MethodRun.dense(model);
    expect(() => model.forward(ids, { run, observe: { logits: () => undefined } })).toThrow(/together with a run/);
    run.dispose();
  });
});
