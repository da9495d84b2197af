import { defineKernel, type Gpu, type QuantizedDtype, quantizedOperand } from '@saccade/core';
import { type Microbenchmark, repeat } from './microbenchmark.ts';

export interface UnpackCandidate {
  readonly dtype: QuantizedDtype;
  /** Columns of a weight that an invocation unpacks side by side, one sum each. */
  readonly columns: number;
  readonly invocations: number;
}

type Variant = UnpackCandidate & { readonly [field: string]: string | number };

const steps = 256;
const lanes = 2 ** 14;
const octet = 8;

/**
 * The inner loop of a matrix-vector product without its loads: unpacks octets with the product's own text out of registers, which change with each
 * step, and multiplies them into a sum.
 */
const unpackKernel = defineKernel<Variant>({
  name: 'roofline.unpack',
  bindings: () => [{ name: 'result', type: 'array<f32>', access: 'read_write' }],
  parameters: [
    ['seed', 'i32'],
    ['factor', 'f32'],
  ],
  workgroupSize: ({ invocations }) => invocations,
  source: ({ dtype, columns, invocations }) => {
    const reader = quantizedOperand(dtype);
    const name = (column: number) => `c${column}`;
    const registers = Array.from({ length: columns }, (_, column) => reader.octetRegisters(name(column))).flat();
    return {
      main: `
  ${repeat(columns, (column) => `var sum${column} = 0.0; let ${reader.blockRegister(name(column))} = vec2f(params.factor, -params.factor);`)}
  ${repeat(octet, (element) => `let x${element} = f32(lane + ${element}u);`)}
  ${registers.map((register, index) => `var ${register} = params.seed * ${2 * index + 3} + i32(lane);`).join('\n  ')}
  for (var step = 0u; step < ${steps}u; step++) {
    ${repeat(octet, (element) => repeat(columns, (column) => `sum${column} = fma(x${element}, ${reader.value(name(column), element)}, sum${column});`))}
    ${registers.map((register) => `${register} += params.seed;`).join(' ')}
  }
  result[group * ${invocations}u + lane] = ${repeat(columns, (column) => `sum${column}`, ' + ')};`,
    };
  },
});

/** Unpacks and multiplies weights of a quantized type without loading them: what arithmetic alone allows. */
export function unpackBenchmark(gpu: Gpu, candidate: UnpackCandidate): Microbenchmark {
  const { dtype, columns, invocations } = candidate;
  const result = gpu.keep(gpu.empty([lanes]));
  return {
    name: `unpack-${dtype}`,
    description: `${dtype} weights unpacked on registers, a multiply-add each`,
    parameters: { columns, invocations },
    work: 2 * lanes * columns * octet * steps,
    launch: () =>
      gpu.launch(
        unpackKernel,
        { dtype, columns, invocations },
        { bindings: [result], parameters: [0x01234567, 1e-3], workgroups: lanes / invocations },
      ),
    dispose: () => result.dispose(),
  };
}
