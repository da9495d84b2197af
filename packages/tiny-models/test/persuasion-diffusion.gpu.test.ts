import { readFileSync } from 'node:fs';
import { concatenate, copyInto, type Gpu, mean, RandomStream, type Tensor, uniformNumbers } from '@saccade/core';
import { add, attention, crossEntropy, multiply, scale, sum, type Value } from '@saccade/core/autodiff';
import { AdamW, CausalLm, Initializer, MultiHeadAttention, type ProjectedHeads, train } from '@saccade/core/nn';
import { assertClose, parseGoldenTensors, sharedGpu } from '@saccade/core/testing';
import { expect, it } from 'vitest';
import { loadTinyMaskedDiffusion, persuasionBytes, persuasionDiffusion } from '../src/index.ts';
import { volumes } from './novel.ts';

const seed = 2028;
const maskId = 256;
const validationBytes = 12_000;
const log = JSON.parse(
  readFileSync(new URL('../checkpoints/persuasion-diffusion/training-log.json', import.meta.url), 'utf8'),
) as { readonly firstLosses: readonly number[]; readonly bytesPerStep: number };

it("has PyTorch's logits, and fills in masks", async () => {
  const gpu = await sharedGpu();
  const model = await loadTinyMaskedDiffusion(gpu, persuasionDiffusion);
  const golden = parseGoldenTensors(readFileSync(new URL('golden/persuasion-diffusion.safetensors', import.meta.url)));
  const logits = await model.logits([...golden('input_ids').data]);
  assertClose(await logits.read(), golden('logits').data, { absolute: 1e-3, relative: 1e-3 });
  logits.dispose();
  const write = () => model.denoise('Anne was ', { length: 24, steps: 8, blockLength: 12 });
  const { text, ids } = await write();
  expect(ids.every((id) => id < maskId)).toBe(true);
  expect(text).toMatch(/^[\x20-\x7e\n]+$/);
  // The same seed writes the same text.
  expect((await write()).text).toBe(text);
  model.dispose();
});

/** Attention of all tokens to all. */
class FullAttention extends MultiHeadAttention {
  override attend({ q, k, v }: ProjectedHeads): Value {
    return attention(q, k, v);
  }
}

const sizes = {
  hiddenSize: 128,
  layers: 8,
  heads: 4,
  kvHeads: 2,
  intermediateSize: 352,
  contextLength: 1024,
} as const;

/** The byte model without its causal mask and with an embedding of the mask, the mean of the others. */
function beginning(gpu: Gpu): CausalLm {
  const bytes = new CausalLm(new Initializer(gpu), { ...sizes, vocabularySize: 256 });
  bytes.loadSafetensors(readFileSync(persuasionBytes.files['model.safetensors'] as URL));
  const model = new CausalLm(
    new Initializer(gpu),
    { ...sizes, vocabularySize: 257 },
    { attention: (_, config, init) => new FullAttention(init, config) },
  );
  const from = bytes.stateDict();
  gpu.tidy(() => {
    for (const [name, tensor] of model.stateDict()) {
      const source = from.get(name) as Tensor;
      const table = name.includes('embed');
      copyInto(tensor, table ? concatenate([source, mean(source, { axis: 0, keepDims: true })]) : source);
    }
  });
  bytes.dispose();
  return model;
}

/** The batch of a step: rows [B, N] of bytes, as `train_tiny_masked_diffusion.py` draws them. */
function rows(text: Uint8Array, step: number, length: number): Uint8Array[] {
  const stream = new RandomStream(seed + 1, step);
  return Array.from({ length: log.bytesPerStep / length }, () => {
    const start = stream.integer(text.length - length);
    return text.subarray(start, start + length);
  });
}

/** The bound of LLaDA: cross-entropy at masked places over the chance of being masked, in nats per token. */
function diffusionLoss(model: CausalLm, gpu: Gpu, batch: readonly Uint8Array[], step: number): Value {
  const [count, length] = [batch.length, (batch[0] as Uint8Array).length];
  const stream = new RandomStream(seed + 2, step);
  const least = 1e-3;
  const chances = batch.map((_, row) => (1 - least) * ((row + stream.next()) / count) + least);
  const drawn = uniformNumbers(count * length, { seed: seed + 2, stream: step });
  const [ids, targets, weights]: [number[], number[], number[]] = [[], [], []];
  for (const [row, bytes] of batch.entries()) {
    const chance = chances[row] as number;
    const masked = [...bytes].map((_, at) => (drawn[row * length + at] as number) < Math.fround(chance));
    ids.push(...[...bytes].map((byte, at) => (masked[at] ? maskId : byte)));
    // The logits of a place tell the byte behind it; those of the first place its own too.
    targets.push(...bytes.slice(1), 0);
    weights.push(...masked.slice(1).map((hidden) => (hidden ? 1 / chance : 0)), 0);
  }
  const logits = model.forward(gpu.tensor(ids, [count, length], 'u32'));
  const flat = logits.reshape([ids.length, 257]);
  const behind = multiply(
    crossEntropy(flat, gpu.tensor(targets, [targets.length], 'u32')),
    gpu.tensor(weights, [weights.length]),
  );
  const firsts = batch.map((bytes) => bytes[0] as number);
  const firstWeights = batch.map((_, row) => (ids[row * length] === maskId ? 1 / (chances[row] as number) : 0));
  const first = multiply(
    crossEntropy(logits.slice(1, 0, 1).reshape([count, 257]), gpu.tensor(firsts, [count], 'u32')),
    gpu.tensor(firstWeights, [count]),
  );
  return scale(add(sum(behind), sum(first)), 1 / ids.length);
}

it("our own training follows PyTorch's first losses within 1%, from the same seed", async () => {
  const gpu = await sharedGpu();
  const before = gpu.stats().liveBytes;
  const model = beginning(gpu);
  const text = volumes().second.slice(0, -validationBytes);
  const optimizer = new AdamW(model.parameters(), { learningRate: 1e-3, weightDecay: 0, betas: [0.9, 0.98] });
  const steps = Number(process.env.SACCADE_FIRST_LOSSES ?? 10);
  const { entries } = await train({
    module: model,
    optimizer,
    steps,
    clip: 1,
    schedule: (step) => Math.min(1, (step + 1) / 20),
    loss: ({ step }) => diffusionLoss(model, gpu, rows(text, step, step % 8 === 7 ? 1024 : 256), step),
  });
  const worst = Math.max(...entries.map(({ loss, step }) => Math.abs(loss / (log.firstLosses[step] as number) - 1)));
  expect(entries).toHaveLength(steps);
  expect(worst).toBeLessThan(0.01);
  model.dispose();
  optimizer.dispose();
  expect(gpu.stats().liveBytes).toBe(before);
}, 900_000);

it('the shipped checkpoint is fine-tuned with falling loss', async () => {
  const gpu = await sharedGpu();
  const model = beginning(gpu);
  const shipped = parseGoldenTensors(widened(readFileSync(persuasionDiffusion.files['model.safetensors'] as URL)));
  for (const [name, tensor] of model.stateDict()) {
    gpu.tidy(() => copyInto(tensor, gpu.tensor(shipped(name).data as Float32Array, tensor.shape)));
  }
  const optimizer = new AdamW(model.parameters(), { learningRate: 1e-3 });
  // Backwards it is a text that the model cannot know; the same bytes under the same masks in every step.
  const batch = [volumes().first.slice(0, 128).reverse(), volumes().first.slice(9000, 9128).reverse()];
  const { entries } = await train({
    module: model,
    optimizer,
    steps: 4,
    clip: 1,
    loss: () => diffusionLoss(model, gpu, batch, 0),
  });
  expect(entries.at(-1)?.loss).toBeLessThan(0.9 * (entries[0]?.loss as number));
  model.dispose();
  optimizer.dispose();
}, 900_000);

/** A safetensors file of f16 in f32. */
function widened(file: Uint8Array): Uint8Array {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const size = Number(view.getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(file.subarray(8, 8 + size))) as Record<
    string,
    { dtype: string; shape: number[]; data_offsets: [number, number] }
  >;
  const entries = Object.entries(header).map(([name, entry]) =>
    entry.data_offsets
      ? [name, { ...entry, dtype: 'F32', data_offsets: entry.data_offsets.map((offset) => 2 * offset) }]
      : [name, entry],
  );
  const text = new TextEncoder().encode(JSON.stringify(Object.fromEntries(entries)));
  const count = (file.length - 8 - size) / 2;
  const out = new Uint8Array(8 + text.length + 4 * count);
  const target = new DataView(out.buffer);
  target.setBigUint64(0, BigInt(text.length), true);
  out.set(text, 8);
  for (let at = 0; at < count; at++) {
    target.setFloat32(8 + text.length + 4 * at, half(view.getUint16(8 + size + 2 * at, true)), true);
  }
  return out;
}

/** The number of a half-precision bit pattern. */
function half(bits: number): number {
  const [sign, exponent, fraction] = [bits >> 15 ? -1 : 1, (bits >> 10) & 31, bits & 1023];
  return sign * (exponent === 0 ? fraction * 2 ** -24 : (1 + fraction / 1024) * 2 ** (exponent - 15));
}
