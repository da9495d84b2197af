import { describe, expect, it } from 'vitest';
import {
  ArgumentError,
  attention,
  attentionStatistics,
  type BlockChoice,
  type Gpu,
  ShapeError,
  type Tensor,
  topBlocks,
} from '../src/index.ts';
import {
  assertClose,
  attentionProbabilities,
  attentionReference,
  blockMeanReference,
  countKeyRows,
  type HostMask,
  modestGpu,
  poisonRows,
  randomArray,
  sharedGpu,
} from '../src/testing/index.ts';

/** A bidirectional call whose last blocks are ragged, two query heads to a key/value head. */
const c = { batches: 2, heads: 4, kvHeads: 2, queries: 37, keys: 45, headSize: 16 };
const blocks = { queryBlock: 8, keyBlock: 8 };
const [rows, columns] = [5, 6];
const q = randomArray(c.batches * c.heads * c.queries * c.headSize, 1, { scale: 3 });
const k = randomArray(c.batches * c.kvHeads * c.keys * c.headSize, 2, { scale: 3 });
const v = randomArray(k.length, 3);
const kvShape = [c.batches, c.kvHeads, c.keys, c.headSize];

function onDevice(gpu: Gpu): [q: Tensor, k: Tensor, v: Tensor] {
  return [gpu.tensor(q, [c.batches, c.heads, c.queries, c.headSize]), gpu.tensor(k, kvShape), gpu.tensor(v, kvShape)];
}

/** The means of blocks, with the softmax over the keys of a mask. */
function blockMeans(gpu: Gpu, mask: HostMask | undefined, padded: boolean): Tensor {
  const [query, keys, values] = onDevice(gpu);
  const where = mask ? { mask: mask as never } : {};
  const { logSumExp } = attention(query, keys, values, { ...where, returnLogSumExp: true });
  const want = { blockMean: { ...blocks, padded } };
  return attentionStatistics(query, keys, { ...where, logSumExp: logSumExp as Tensor, want }).blockMean;
}

async function readAll(gpu: Gpu, tensors: readonly Tensor[]) {
  const data = await gpu.read(tensors);
  for (const tensor of tensors) tensor.dispose();
  return data;
}

describe('means of blocks', () => {
  const ranges: Readonly<Record<string, HostMask | undefined>> = {
    'over all keys': undefined,
    'with the softmax over a range of keys': { kind: 'keyRange', start: 16, end: 45 },
    'with the softmax over an empty range': { kind: 'keyRange', start: 9, end: 9 },
  };
  for (const [name, mask] of Object.entries(ranges)) {
    it(`${name}, padded or not, as the explicit probabilities have them`, async () => {
      for (const gpu of [await sharedGpu(), await modestGpu()]) {
        const [plain, padded] = await readAll(
          gpu,
          gpu.tidy(() => [blockMeans(gpu, mask, false), blockMeans(gpu, mask, true)]),
        );
        const probabilities = attentionProbabilities({ ...c, q, k, v, causal: false, ...(mask ? { mask } : {}) });
        const close = { absolute: 2e-6, relative: 2e-5 };
        assertClose(plain as Float32Array, blockMeanReference(probabilities, c, blocks), close);
        assertClose(padded as Float32Array, blockMeanReference(probabilities, c, { ...blocks, padded: true }), close);
      }
    });
  }
});

/** Lists by sorting on the host. */
function listsReference(scores: ArrayLike<number>, width: number, choices: readonly Omit<BlockChoice, 'scores'>[]) {
  return Array.from({ length: scores.length / width }, (_, row) =>
    choices.flatMap(({ k: count, among = { start: 0, end: width }, keep = among }) => {
      const at = (block: number) => scores[row * width + block] as number;
      const ranked = Array.from({ length: among.end - among.start }, (_, block) => among.start + block);
      ranked.sort((a, b) => at(b) - at(a) || a - b);
      const kept = ranked.slice(0, count).filter((block) => block >= keep.start && block < keep.end);
      return kept.sort((a, b) => a - b);
    }),
  );
}

describe('topBlocks', () => {
  const [early, late] = [
    { start: 0, end: 4 },
    { start: 4, end: 6 },
  ];
  const cases: Readonly<Record<string, readonly Omit<BlockChoice, 'scores'>[]>> = {
    'the best of all': [{ k: 2 }],
    'all of them': [{ k: columns }],
    'the best of each of two ranges': [
      { k: 2, among: early },
      { k: 1, among: late },
    ],
    'the best of all that stand early, and the best of the late ones': [
      { k: 3, keep: early },
      { k: 1, among: late },
    ],
    'some that no list keeps': [{ k: 1, keep: late }],
  };
  for (const [name, choices] of Object.entries(cases)) {
    it(name, async () => {
      for (const gpu of [await sharedGpu(), await modestGpu()]) {
        // Coarse numbers, so that there are ties.
        const scores = randomArray(c.batches * c.heads * rows * columns, 7).map((value) => Math.round(4 * value));
        const [indices, counts] = await readAll(
          gpu,
          gpu.tidy(() => {
            const tensor = gpu.tensor(scores, [c.batches, c.heads, rows, columns]);
            const list = topBlocks(
              choices.map((choice) => ({ ...choice, scores: tensor })),
              blocks,
            );
            return [list.indices, list.counts];
          }),
        );
        const length = (indices?.length ?? 0) / (counts?.length ?? 1);
        const lists = Array.from(counts ?? [], (count, row) => {
          const own = [...(indices?.subarray(row * length, (row + 1) * length) ?? [])];
          expect(own.slice(count).every((entry) => entry === 0xffffffff)).toBe(true);
          return own.slice(0, count);
        });
        expect(lists).toEqual(listsReference(scores, columns, choices));
      }
    });
  }

  it('gives lists that attention takes: the output is that of the listed blocks, and no other key is loaded', async () => {
    const gpu = await sharedGpu();
    // Every head ranks blocks 1, 3 and 5 over the others; block 5 is ragged.
    const scores = Float32Array.from({ length: c.batches * c.heads * rows * columns }, (_, at) => at % 2);
    const listed = (_: number, position: number) => Math.floor(position / 8) % 2 === 1;
    const run = (keys: ArrayLike<number>, values: ArrayLike<number>, keyRowCounter?: Tensor) =>
      gpu.tidy(() => {
        const list = topBlocks({ scores: gpu.tensor(scores, [c.batches, c.heads, rows, columns]), k: 3 }, blocks);
        const [query] = onDevice(gpu);
        const options = { blocks: list, ...(keyRowCounter ? { keyRowCounter } : {}) };
        return attention(query, gpu.tensor(keys, kvShape), gpu.tensor(values, kvShape), options).output;
      });
    const [output] = await readAll(gpu, [run(poisonRows(k, kvShape, listed), poisonRows(v, kvShape, listed))]);
    const mask: HostMask = {
      kind: 'custom',
      wgsl: () => 'true',
      reference: ({ keyPosition }) => listed(0, keyPosition),
    };
    const { output: expected } = attentionReference({ ...c, q, k, v, causal: false, mask });
    assertClose(output as Float32Array, expected, { absolute: 1e-5 });
    const count = (blocksListed: number) =>
      countKeyRows(gpu, (keyRowCounter) => {
        const tensor = gpu.tensor(scores, [c.batches, c.heads, rows, columns]);
        attention(...onDevice(gpu), { blocks: topBlocks({ scores: tensor, k: blocksListed }, blocks), keyRowCounter });
      });
    // Blocks of 8 keys: one, and two.
    expect(await count(2)).toBe(2 * (await count(1)));
  });

  it('reads nothing back', async () => {
    const gpu = await sharedGpu();
    const { readbacks } = gpu.stats();
    gpu.tidy(() => {
      const scores = blockMeans(gpu, undefined, true);
      topBlocks({ scores, k: 2 }, blocks);
    });
    expect(gpu.stats().readbacks).toBe(readbacks);
  });

  it('refuses what does not fit', async () => {
    const gpu = await sharedGpu();
    gpu.tidy(() => {
      const scores = gpu.zeros([1, 2, 3, 4]);
      const top = (choices: BlockChoice | BlockChoice[], more = blocks) => topBlocks(choices, more);
      expect(() => top({ scores, k: 5 })).toThrow(/choices\[0\]\.k: got 5/);
      expect(() => top({ scores, k: 3, among: { start: 2, end: 4 } })).toThrow(/\[1, 2\]/);
      expect(() => top({ scores, k: 1, keep: { start: 2, end: 5 } })).toThrow(/keep: got .*<= 4/);
      expect(() =>
        top([
          { scores, k: 1 },
          { scores, k: 1, among: { start: 3, end: 4 } },
        ]),
      ).toThrow(/disjoint/);
      expect(() => top([])).toThrow(/number of choices/);
      expect(() => top({ scores, k: 1 }, { queryBlock: 0, keyBlock: 8 })).toThrow(ArgumentError);
      expect(() => top({ scores: gpu.zeros([2, 3, 4]), k: 1 })).toThrow(ShapeError);
      expect(() => top({ scores: gpu.zeros([1, 2, 3, 4], 'u32'), k: 1 })).toThrow(/f32/);
      expect(() => attention(...onDevice(gpu), { mask: { kind: 'keyRange', start: 4, end: 2 } })).toThrow(/mask end/);
    });
  });
});
