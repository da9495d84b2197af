import { defineKernel, type Gpu, type KernelDefinition, type Tensor } from '@saccade/core';

/** A kernel that does one thing as often as it can, and how much it does. */
export interface Microbenchmark {
  readonly name: 'f32-fma' | 'read' | 'copy';
  readonly description: string;
  readonly unit: 'flop/s' | 'byte/s';
  /** Units of work of one launch. */
  readonly work: number;
  /** Records one launch. */
  launch(): void;
  dispose(): void;
}

const lanes = 64;

const fmaSteps = 4096;

/** Independent scalar chains hide the latency of a multiply-add; vec4 arithmetic spills on software adapters. */
const fmaKernel = defineKernel<{ readonly chains: number }>({
  name: 'roofline.fma',
  bindings: () => [{ name: 'result', type: 'array<f32>', access: 'read_write' }],
  parameters: [
    ['factor', 'f32'],
    ['addend', 'f32'],
  ],
  workgroupSize: () => lanes,
  source: ({ chains }) => {
    const each = (line: (index: number) => string, separator = '\n') =>
      Array.from({ length: chains }, (_, index) => line(index)).join(separator);
    return {
      main: `
  ${each((index) => `var x${index} = f32(lane + ${index}u);`)}
  for (var step = 0u; step < ${fmaSteps}u; step++) {
    ${each((index) => `x${index} = fma(x${index}, params.factor, params.addend);`)}
  }
  result[group * ${lanes}u + lane] = ${each((index) => `x${index}`, ' + ')};`,
    };
  },
});

const readKernel = defineKernel<Record<never, never>>({
  name: 'roofline.read',
  bindings: () => [
    { name: 'source', type: 'array<vec4f>', access: 'read' },
    { name: 'result', type: 'array<f32>', access: 'read_write' },
  ],
  parameters: [['perGroup', 'u32']],
  workgroupSize: () => lanes,
  source: () => ({
    main: `
  var sum = vec4f(0.0);
  let start = group * params.perGroup;
  for (var index = lane; index < params.perGroup; index += ${lanes}u) { sum += source[start + index]; }
  result[group * ${lanes}u + lane] = sum.x + sum.y + sum.z + sum.w;`,
  }),
});

const copyKernel = defineKernel<Record<never, never>>({
  name: 'roofline.copy',
  bindings: () => [
    { name: 'source', type: 'array<vec4f>', access: 'read' },
    { name: 'target_rows', type: 'array<vec4f>', access: 'read_write' },
  ],
  parameters: [['perGroup', 'u32']],
  workgroupSize: () => lanes,
  source: () => ({
    main: `
  let start = group * params.perGroup;
  for (var index = lane; index < params.perGroup; index += ${lanes}u) { target_rows[start + index] = source[start + index]; }`,
  }),
});

/** Multiply-adds on registers: `chains` independent ones per invocation. */
export function fmaBenchmark(gpu: Gpu, chains: number): Microbenchmark {
  const groups = 512;
  const result = gpu.keep(gpu.empty([groups * lanes]));
  return {
    name: 'f32-fma',
    description: `f32 multiply-adds on registers, ${chains} independent scalar chains per invocation`,
    unit: 'flop/s',
    work: 2 * groups * lanes * chains * fmaSteps,
    launch: () =>
      gpu.launch(fmaKernel, { chains }, { bindings: [result], parameters: [0.999, 1e-3], workgroups: groups }),
    dispose: () => result.dispose(),
  };
}

/** Sums or copies a buffer that is far larger than the caches. */
export function memoryBenchmark(gpu: Gpu, name: 'read' | 'copy', bytes: number): Microbenchmark {
  const perGroup = 4096;
  const groups = Math.floor(bytes / 16 / perGroup);
  const source = gpu.keep(gpu.zeros([groups * perGroup * 4]));
  const target = gpu.keep(gpu.empty([name === 'read' ? groups * lanes : groups * perGroup * 4]));
  const kernel: KernelDefinition<Record<never, never>> = name === 'read' ? readKernel : copyKernel;
  const bindings: readonly Tensor[] = [source, target];
  const megabytes = Math.round((groups * perGroup * 16) / 2 ** 20);
  return {
    name,
    description:
      name === 'read' ? `sum of ${megabytes} MiB` : `copy of ${megabytes} MiB (bytes read and written both count)`,
    unit: 'byte/s',
    work: groups * perGroup * 16 * (name === 'read' ? 1 : 2),
    launch: () => gpu.launch(kernel, {}, { bindings, parameters: [perGroup], workgroups: groups }),
    dispose: () => {
      source.dispose();
      target.dispose();
    },
  };
}
