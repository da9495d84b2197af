import { copyInto, type Gpu, type RopeTable, ropeTable, type Tensor } from '@saccade/core';
import type { Value } from '@saccade/core/autodiff';
import { Initializer, type LayerContext } from '@saccade/core/nn';
import { randomArray } from '@saccade/core/testing';
import { GatedAttention, type GatedAttentionOptions, type ReferenceLayer } from '../src/index.ts';

/** Sizes of the layers under test: two query heads on each of two key/value heads. */
export const sizes = { hiddenSize: 12, heads: 4, kvHeads: 2, headSize: 6 };

/** A layer with random weights and what it needs to run. */
export interface TestLayer {
  readonly layer: GatedAttention;
  readonly context: LayerContext;
  readonly rope: RopeTable;
  dispose(): void;
}

export function testLayer(
  gpu: Gpu,
  options: GatedAttentionOptions & { readonly queryKeyNorm?: boolean; readonly slidingWindow?: number } = {},
): TestLayer {
  const layer = new GatedAttention(new Initializer(gpu, { seed: 5 }), { ...sizes, initializerRange: 0.5, ...options });
  const rope = ropeTable(gpu, { rotarySize: sizes.headSize, positions: 32 });
  return {
    layer,
    rope,
    context: contextOf(rope),
    dispose: () => {
      layer.dispose();
      rope.dispose();
    },
  };
}

export function contextOf(rope: RopeTable): LayerContext {
  return { layer: 0, rope, drop: (x) => x };
}

/** The layer as the reference takes it. */
export async function referenceOf(layer: GatedAttention): Promise<ReferenceLayer> {
  const parameters: Record<string, ArrayLike<number>> = {};
  for (const [name, tensor] of layer.stateDict()) parameters[name] = (await tensor.read()) as Float32Array;
  return {
    ...layer.sizes,
    ...layer.options,
    queryKeyNorm: layer.q_norm !== undefined,
    normEpsilon: 1e-5,
    ropeBase: 10_000,
    parameters,
  };
}

/** Runs a layer over x [B, N, E]; frees what it makes. */
export async function run({ layer, context }: TestLayer, x: ArrayLike<number>, batches = 1): Promise<Float32Array> {
  const { gpu } = layer.q_proj.weight.tensor;
  const output = gpu.tidy(() => {
    const rows = gpu.tensor(x, [batches, x.length / batches / sizes.hiddenSize, sizes.hiddenSize]);
    return layer.forward(rows, context) as Tensor;
  });
  const data = (await output.read()) as Float32Array;
  output.dispose();
  return data;
}

/** The gate of every forward pass in `work`, as numbers. */
export async function gatesOf(layer: GatedAttention, work: () => Promise<unknown> | Value): Promise<Float32Array[]> {
  const gates: Tensor[] = [];
  await layer.observe(
    (seen) => {
      if ('gate' in seen) gates.push(seen.gate.gpu.keep(seen.gate.alias()));
    },
    () => Promise.resolve(work()),
  );
  return Promise.all(
    gates.map(async (gate) => {
      const data = (await gate.read()) as Float32Array;
      gate.dispose();
      return data;
    }),
  );
}

/** Puts numbers into a parameter. */
export function fill(parameter: { readonly tensor: Tensor } | undefined, values: ArrayLike<number>): void {
  if (!parameter) throw new Error('The layer has no such parameter.');
  const { gpu, shape } = parameter.tensor;
  gpu.tidy(() => copyInto(parameter.tensor, gpu.tensor(values, shape)));
}

export const input = (tokens: number, seed = 1) => randomArray(tokens * sizes.hiddenSize, seed);
