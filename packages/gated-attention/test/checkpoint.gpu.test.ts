import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ArgumentError, contiguous, type Gpu, ropeTable, ShapeError, type Tensor } from '@saccade/core';
import { CausalLm, type CausalLmConfig, huggingFaceConfig, Initializer } from '@saccade/core/nn';
import { assertClose, randomArray, sharedGpu } from '@saccade/core/testing';
import { loadLanguageModel } from '@saccade/models';
import { expect, it } from 'vitest';
import {
  GatedAttention,
  gatedAttentionReference,
  joinGatedQueryProjection,
  layerStatistics,
  loadGatedAttention,
  splitGatedQueryProjection,
} from '../src/index.ts';
import { fill, input, referenceOf, run, sizes, testLayer } from './layer.ts';

/** Rows of a fused projection with one column, named by a number each: queries 10 h + d, gates 100 + 10 h + d. */
async function split(gpu: Gpu, rows: number[], granularity: 'headwise' | 'elementwise', layout: 'grouped' | 'perHead') {
  const parts = gpu.tidy(() =>
    splitGatedQueryProjection(gpu.tensor(rows, [rows.length, 1]), {
      heads: 4,
      kvHeads: 2,
      headSize: 2,
      granularity,
      layout,
    }),
  );
  const [query, gate] = await gpu.read([parts.query, parts.gate]);
  parts.query.dispose();
  parts.gate.dispose();
  return { query: [...(query as Float32Array)], gate: [...(gate as Float32Array)] };
}

it('check 3: the published layout goes by groups of query heads', async () => {
  const gpu = await sharedGpu();
  const query = [0, 1, 10, 11, 20, 21, 30, 31];
  const headwise = [0, 1, 10, 11, 100, 110, 20, 21, 30, 31, 120, 130];
  expect(await split(gpu, headwise, 'headwise', 'grouped')).toEqual({ query, gate: [100, 110, 120, 130] });
  // The last H rows are not the gates.
  expect(headwise.slice(-4)).not.toEqual([100, 110, 120, 130]);
  const gate = [100, 101, 110, 111, 120, 121, 130, 131];
  const elementwise = [0, 1, 10, 11, 100, 101, 110, 111, 20, 21, 30, 31, 120, 121, 130, 131];
  expect(await split(gpu, elementwise, 'elementwise', 'grouped')).toEqual({ query, gate });
  const perHead = [0, 1, 100, 101, 10, 11, 110, 111, 20, 21, 120, 121, 30, 31, 130, 131];
  expect(await split(gpu, perHead, 'elementwise', 'perHead')).toEqual({ query, gate });
  expect(await split(gpu, [0, 1, 100, 10, 11, 110, 20, 21, 120, 30, 31, 130], 'headwise', 'perHead')).toEqual({
    query,
    gate: [100, 110, 120, 130],
  });
});

it('check 3: joining is the opposite of splitting, of weights and biases', async () => {
  const gpu = await sharedGpu();
  const before = gpu.stats().liveBytes;
  for (const layout of ['grouped', 'perHead'] as const) {
    for (const [granularity, rows] of [
      ['headwise', 12],
      ['elementwise', 16],
    ] as const) {
      for (const shape of [[rows, 3], [rows]]) {
        const data = randomArray(rows * (shape[1] ?? 1), 3);
        const projection = { heads: 4, kvHeads: 2, headSize: 2, granularity, layout };
        const joined = gpu.tidy(() =>
          contiguous(
            joinGatedQueryProjection(splitGatedQueryProjection(gpu.tensor(data, shape), projection), projection),
          ),
        );
        expect(joined.shape).toEqual(shape);
        expect(await joined.read()).toEqual(data);
        joined.dispose();
      }
    }
  }
  expect(gpu.stats().liveBytes).toBe(before);
});

it.each([
  ['grouped', 'elementwise'],
  ['grouped', 'headwise'],
  ['perHead', 'headwise'],
  ['separate', 'elementwise'],
] as const)('a layer is filled from a checkpoint: %s, %s', async (layout, granularity) => {
  const gpu = await sharedGpu();
  const before = gpu.stats().liveBytes;
  const [source, target] = [testLayer(gpu, { granularity }), testLayer(gpu, { granularity })];
  for (const parameter of target.layer.parameters().values()) fill(parameter, new Float32Array(parameter.tensor.size));
  const tensors = new Map<string, Tensor>();
  for (const [name, tensor] of source.layer.stateDict()) tensors.set(`layers.3.${name}`, tensor);
  let fused: Tensor | undefined;
  if (layout !== 'separate') {
    const { heads, kvHeads, headSize } = sizes;
    const [query, gate] = [source.layer.q_proj.weight.tensor, source.layer.gate_proj?.weight.tensor as Tensor];
    fused = gpu.tidy(() =>
      joinGatedQueryProjection({ query, gate }, { heads, kvHeads, headSize, granularity, layout }),
    );
    tensors.delete('layers.3.gate_proj.weight');
    tensors.set('layers.3.q_proj.weight', fused);
  }
  loadGatedAttention(target.layer, tensors, { prefix: 'layers.3', layout });
  expect(await run(target, input(6))).toEqual(await run(source, input(6)));
  expect(() => loadGatedAttention(target.layer, tensors, { layout })).toThrow(ArgumentError);
  fused?.dispose();
  source.dispose();
  target.dispose();
  expect(gpu.stats().liveBytes).toBe(before);
});

it('refuses checkpoints that do not fit, and changes nothing then', async () => {
  const gpu = await sharedGpu();
  const made = testLayer(gpu);
  const expected = await run(made, input(4));
  const unfused = made.layer.stateDict();
  expect(() => loadGatedAttention(made.layer, unfused)).toThrow(/q_proj|24 rows|48 rows/);
  expect(() => loadGatedAttention(made.layer, unfused)).toThrow(ShapeError);
  const wrong = new Map([...unfused, ['o_proj.weight', unfused.get('q_proj.weight') as Tensor]]);
  expect(() => loadGatedAttention(made.layer, wrong, { layout: 'separate' })).toThrow(/o_proj/);
  const biased = new Map([...unfused, ['q_proj.bias', unfused.get('q_proj.weight') as Tensor]]);
  expect(() => loadGatedAttention(made.layer, biased, { layout: 'separate' })).toThrow(/q_proj.bias/);
  const values = testLayer(gpu, { position: 'g2' });
  expect(() => loadGatedAttention(values.layer, unfused)).toThrow(/g2/);
  expect(await run(made, input(4))).toEqual(expected);
  made.dispose();
  values.dispose();
});

/** Ids are bytes. */
const tokenizerPath = new URL('../../tiny-models/checkpoints/persuasion-bytes/tokenizer.json', import.meta.url);

const sharedConfig: CausalLmConfig = {
  vocabularySize: 256,
  hiddenSize: 32,
  layers: 2,
  heads: 4,
  kvHeads: 2,
  headSize: 8,
  intermediateSize: 40,
  contextLength: 32,
  initializerRange: 0.3,
};

it.each([
  ['elementwise', true],
  ['headwise', false],
] as const)(
  'check 5: a model trained with the module runs in @saccade/models, and decoding with its cache equals prefill: %s, norms %s',
  async (granularity, queryKeyNorm) => {
    const gpu = await sharedGpu();
    const config = { ...sharedConfig, queryKeyNorm };
    const model = new CausalLm(new Initializer(gpu, { seed: 3 }), config, {
      attention: (_, full, init) => new GatedAttention(init, { ...full, granularity }),
    });
    const folder = mkdtempSync(join(tmpdir(), 'gated-'));
    writeFileSync(join(folder, 'model.safetensors'), await model.saveSafetensors());
    writeFileSync(join(folder, 'tokenizer.json'), readFileSync(tokenizerPath));
    const modelConfig = {
      ...huggingFaceConfig(config),
      [`${granularity}_attn_output_gate`]: true,
      attn_output_gate_layout: 'separate',
    };
    writeFileSync(join(folder, 'config.json'), JSON.stringify(modelConfig));
    const loaded = await loadLanguageModel(gpu, folder, { sources: ['local'] });
    rmSync(folder, { recursive: true });
    const ids = [5, 9, 1, 33, 60, 2, 2, 17];
    const expected = gpu.tidy(() => model.forward(gpu.tensor(ids, [1, ids.length], 'u32')) as Tensor);
    const logits = (await expected.read()) as Float32Array;
    const prefill = await loaded.logits(ids);
    assertClose((await prefill.read()) as Float32Array, logits, { absolute: 2e-5, relative: 1e-5, name: 'prefill' });
    const cache = loaded.createCache(ids.length);
    for (const [at, id] of ids.entries()) {
      const row = gpu.tidy(() => loaded.forward([id], { cache }).logits as Tensor);
      const own = logits.subarray(at * 256, (at + 1) * 256);
      assertClose((await row.read()) as Float32Array, own, { absolute: 2e-5, relative: 1e-5, name: `token ${at}` });
      row.dispose();
    }
    cache.dispose();
    for (const tensor of [expected, prefill]) tensor.dispose();
    loaded.dispose();
    model.dispose();
  },
);

it('check 9: attention to the first token and gates, by layer, are those of the probabilities', async () => {
  const gpu = await sharedGpu();
  const made = testLayer(gpu, { granularity: 'headwise', queryKeyNorm: true });
  const x = input(11);
  const rope = ropeTable(gpu, { rotarySize: sizes.headSize, positions: 32 });
  const { probabilities, gate } = gatedAttentionReference(await referenceOf(made.layer), x);
  const [measured] = await layerStatistics([made.layer], () =>
    made.layer.forward(gpu.tensor(x, [1, 11, 12]), made.context),
  );
  let mass = 0;
  for (let head = 0; head < 4; head++) {
    for (let query = 1; query < 11; query++) mass += (probabilities[(head * 11 + query) * 11] as number) / 40;
  }
  assertClose([measured?.firstTokenMass as number], [mass], { absolute: 1e-6 });
  assertClose([measured?.meanGate as number], [gate.reduce((sum, value) => sum + value, 0) / gate.length], {
    absolute: 1e-6,
  });
  expect(measured?.gateHistogram?.reduce((sum, share) => sum + share, 0)).toBeCloseTo(1, 6);
  await expect(layerStatistics([made.layer], () => undefined)).rejects.toThrow(/no forward pass/);
  rope.dispose();
  made.dispose();
});
