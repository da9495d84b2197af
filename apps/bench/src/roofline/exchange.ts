import { defineKernel, type Gpu, type KernelDefinition } from '@saccade/core';
import { type Microbenchmark, repeat } from './microbenchmark.ts';

export interface ExchangeCandidate {
  readonly chains: number;
  readonly invocations: number;
}

type Variant = ExchangeCandidate & { readonly [field: string]: number };

const steps = 512;
const lanes = 2 ** 15;
const elements = 2048;

/** Each step loads from workgroup memory at an address that depends on the step. */
const workgroupKernel = defineKernel<Variant>({
  name: 'roofline.workgroup-memory',
  bindings: () => [{ name: 'result', type: 'array<f32>', access: 'read_write' }],
  parameters: [['mask', 'u32']],
  workgroupSize: ({ invocations }) => invocations,
  source: ({ chains, invocations }) => ({
    declarations: `var<workgroup> shared_values: array<f32, ${elements}>;`,
    main: `
  for (var index = lane; index < ${elements}u; index += ${invocations}u) { shared_values[index] = f32(index); }
  workgroupBarrier();
  ${repeat(chains, (index) => `var x${index} = 0.0;`, '\n  ')}
  for (var step = 0u; step < ${steps}u; step++) {
    ${repeat(chains, (index) => `x${index} += shared_values[(lane + step * ${8 * chains}u + ${8 * index}u) & params.mask];`)}
  }
  result[group * ${invocations}u + lane] = ${repeat(chains, (index) => `x${index}`, ' + ')};`,
  }),
});

/** Each step exchanges every chain's value with the neighbour; the addition keeps steps apart. */
const shuffleKernel = defineKernel<Variant>({
  name: 'roofline.subgroup-shuffle',
  bindings: () => [{ name: 'result', type: 'array<f32>', access: 'read_write' }],
  parameters: [['mask', 'u32']],
  workgroupSize: ({ invocations }) => invocations,
  source: ({ chains, invocations }) => ({
    subgroups: true,
    main: `
  ${repeat(chains, (index) => `var x${index} = f32(lane + ${index}u);`, '\n  ')}
  for (var step = 0u; step < ${steps}u; step++) {
    ${repeat(chains, (index) => `x${index} = subgroupShuffleXor(x${index}, 1u) + 1.0;`)}
  }
  result[group * ${invocations}u + lane] = ${repeat(chains, (index) => `x${index}`, ' + ')};`,
  }),
});

function exchange(
  gpu: Gpu,
  kernel: KernelDefinition<Variant>,
  facts: Pick<Microbenchmark, 'name' | 'description'>,
  { chains, invocations }: ExchangeCandidate,
): Microbenchmark {
  const result = gpu.keep(gpu.empty([lanes]));
  return {
    ...facts,
    parameters: { chains, invocations },
    work: 4 * lanes * chains * steps,
    launch: () =>
      gpu.launch(
        kernel,
        { chains, invocations },
        { bindings: [result], parameters: [elements - 1], workgroups: lanes / invocations },
      ),
    dispose: () => result.dispose(),
  };
}

/** Loads from workgroup memory, neighbours side by side. */
export function workgroupMemoryBenchmark(gpu: Gpu, candidate: ExchangeCandidate): Microbenchmark {
  const facts = { name: 'workgroup-memory', description: 'f32 loads from workgroup memory' } as const;
  return exchange(gpu, workgroupKernel, facts, candidate);
}

/** Exchanges between neighbours of a subgroup; only where the device has subgroups. */
export function shuffleBenchmark(gpu: Gpu, candidate: ExchangeCandidate): Microbenchmark {
  const facts = { name: 'subgroup-shuffle', description: 'f32 exchanged between neighbours of a subgroup' } as const;
  return exchange(gpu, shuffleKernel, facts, candidate);
}
