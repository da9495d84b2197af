import { defineKernel, type Gpu } from '@saccade/core';
import { type Microbenchmark, repeat } from './microbenchmark.ts';

export interface FmaCandidate {
  readonly dtype: 'f32' | 'f16';
  /** Independent chains of each invocation: they hide the latency of a multiply-add. */
  readonly chains: number;
  /** Elements of a chain's vector. */
  readonly width: 1 | 4;
  readonly invocations: number;
  /** Multiply-adds of a chain between two tests of the loop. */
  readonly unroll: number;
}

const steps = 2048;
const lanes = 2 ** 15;

const fmaKernel = defineKernel<{
  readonly dtype: 'f32' | 'f16';
  readonly chains: number;
  readonly width: number;
  readonly invocations: number;
  readonly unroll: number;
}>({
  name: 'roofline.fma',
  bindings: () => [{ name: 'result', type: 'array<f32>', access: 'read_write' }],
  parameters: [
    ['factor', 'f32'],
    ['addend', 'f32'],
  ],
  workgroupSize: ({ invocations }) => invocations,
  source: ({ dtype, chains, width, invocations, unroll }) => {
    const type = width === 1 ? dtype : `vec4<${dtype}>`;
    const element = (index: number) => (width === 1 ? `f32(x${index})` : `dot(vec4f(x${index}), vec4f(1.0))`);
    return {
      main: `
  let factor = ${type}(${dtype}(params.factor));
  let addend = ${type}(${dtype}(params.addend));
  ${repeat(chains, (index) => `var x${index} = ${type}(${dtype}(lane + ${index}u));`, '\n  ')}
  for (var step = 0u; step < ${steps / unroll}u; step++) {
    ${repeat(unroll, () => repeat(chains, (index) => `x${index} = fma(x${index}, factor, addend);`))}
  }
  result[group * ${invocations}u + lane] = ${repeat(chains, element, ' + ')};`,
    };
  },
});

/** Multiply-adds on registers. */
export function fmaBenchmark(gpu: Gpu, candidate: FmaCandidate): Microbenchmark {
  const { dtype, chains, width, invocations, unroll } = candidate;
  const result = gpu.keep(gpu.empty([lanes]));
  return {
    name: `${dtype}-fma`,
    description: `${dtype} multiply-adds on registers in independent chains`,
    parameters: { chains, width, invocations, unroll },
    work: 2 * lanes * chains * width * steps,
    launch: () =>
      gpu.launch(
        fmaKernel,
        { dtype, chains, width, invocations, unroll },
        { bindings: [result], parameters: [0.999, 1e-3], workgroups: lanes / invocations },
      ),
    dispose: () => result.dispose(),
  };
}
