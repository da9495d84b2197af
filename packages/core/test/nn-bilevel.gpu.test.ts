import { expect, it } from 'vitest';
import { add, mean, square, subtract } from '../src/autodiff/index.ts';
import { Initializer, Linear, Lora, moduleGradients, Sgd } from '../src/nn/index.ts';
import { assertClose, randomArray, sharedGpu } from '../src/testing/index.ts';

const [inputs, outputs, rank, rows, innerSteps, innerRate] = [3, 2, 1, 4, 3, 0.2];

/** rows x columns matrices in f64. */
function times(a: readonly number[], b: readonly number[], m: number, k: number, n: number): number[] {
  return Array.from({ length: m * n }, (_, at) => {
    let sum = 0;
    for (let i = 0; i < k; i++) sum += (a[Math.floor(at / n) * k + i] as number) * (b[i * n + (at % n)] as number);
    return sum;
  });
}

const transposed = (a: readonly number[], m: number, n: number) =>
  Array.from({ length: m * n }, (_, at) => a[(at % m) * n + Math.floor(at / m)] as number);

it('a first-order bilevel step: inner SGD on LoRA, the outer gradient with the adapted values held constant', async () => {
  const gpu = await sharedGpu();
  const before = gpu.stats().liveBytes;
  const init = new Initializer(gpu, { seed: 8 });
  const base = new Linear(init, { inputs, outputs, bias: false });
  const lora = new Lora(init, base, { rank });
  const data = {
    x: [...randomArray(rows * inputs, 1)],
    inner: [...randomArray(rows * outputs, 2)],
    outer: [...randomArray(rows * outputs, 3)],
  };
  const x = gpu.tensor(data.x, [rows, inputs]);
  const [inner, outer] = [data.inner, data.outer].map((values) => gpu.tensor(values, [rows, outputs])) as [
    typeof x,
    typeof x,
  ];
  const weights = {
    base: [...(await base.weight.tensor.read())],
    a: [...(await lora.lora_A.weight.tensor.read())],
    b: [...(await lora.lora_B.weight.tensor.read())],
  };

  // Inner loop: the base is frozen, as LoRA makes it.
  const inSgd = new Sgd(lora.parameters(), { learningRate: innerRate });
  for (let step = 0; step < innerSteps; step++) {
    gpu.tidy(() => {
      const { gradients } = moduleGradients(lora, () => mean(square(subtract(lora.forward(x), inner))));
      expect(Object.keys(gradients)).toEqual(['lora_A.weight', 'lora_B.weight']);
      inSgd.step(gradients);
    });
  }
  // Outer gradient: by the base and by the input, at the adapted values.
  lora.freeze('lora_A').freeze('lora_B').unfreeze('base_layer');
  const bias = gpu.tensor([0.1, 0.2]);
  const found = gpu.tidy(
    () => moduleGradients(lora, () => mean(square(subtract(add(lora.forward(x), bias), outer)))).gradients,
  );
  expect(Object.keys(found)).toEqual(['base_layer.weight']);

  const reference = { ...weights };
  const errorOf = (targets: readonly number[], shift: readonly number[]) => {
    const update = times(reference.b, reference.a, outputs, rank, inputs);
    const total = reference.base.map((value, at) => value + (update[at] as number));
    const predicted = times(data.x, transposed(total, outputs, inputs), rows, inputs, outputs);
    return predicted.map(
      (value, at) => (2 / targets.length) * (value + (shift[at % outputs] as number) - (targets[at] as number)),
    );
  };
  // Gradient by the whole matrix: error^T x.
  const byMatrix = (error: readonly number[]) => times(transposed(error, rows, outputs), data.x, outputs, rows, inputs);
  for (let step = 0; step < innerSteps; step++) {
    const gradient = byMatrix(errorOf(data.inner, [0, 0]));
    const byA = times(transposed(reference.b, outputs, rank), gradient, rank, outputs, inputs);
    const byB = times(gradient, transposed(reference.a, rank, inputs), outputs, inputs, rank);
    reference.a = reference.a.map((value, at) => value - innerRate * (byA[at] as number));
    reference.b = reference.b.map((value, at) => value - innerRate * (byB[at] as number));
  }
  assertClose(await lora.lora_A.weight.tensor.read(), reference.a, { absolute: 1e-5 });
  assertClose(await lora.lora_B.weight.tensor.read(), reference.b, { absolute: 1e-5 });
  const outerGradient = found['base_layer.weight'] as typeof x;
  assertClose(await outerGradient.read(), byMatrix(errorOf(data.outer, [0.1, 0.2])), { absolute: 1e-5 });
  for (const each of [x, inner, outer, bias, outerGradient, lora, inSgd]) each.dispose();
  expect(gpu.stats().liveBytes).toBe(before);
});
