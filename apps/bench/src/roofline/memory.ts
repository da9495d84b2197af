import { defineKernel, type Gpu, type Tensor } from '@saccade/core';
import { type Microbenchmark, repeat } from './microbenchmark.ts';

export interface MemoryCandidate {
  readonly name: 'read' | 'copy';
  /** Bytes that are read (and, for a copy, as many written). */
  readonly bytes: number;
  /** Elements of a load. */
  readonly width: 1 | 4;
  /** Loads in flight per invocation. */
  readonly unroll: number;
  readonly invocations: number;
}

type Variant = Omit<MemoryCandidate, 'bytes'> & { readonly [field: string]: string | number };

/** Elements of a workgroup's stretch; a launch gives each workgroup one, or several while the working set is small. */
const stretch = 16_384;
/** Bytes that one launch goes over at least, so that its own cost does not count. */
const leastBytes = 2 ** 25;

/** Workgroup w reads stretch w modulo the number of stretches. Sums are written, so that no load can be dropped. */
const memoryKernel = defineKernel<Variant>({
  name: 'roofline.memory',
  bindings: ({ name, width }) => [
    { name: 'source', type: width === 1 ? 'array<f32>' : 'array<vec4f>', access: 'read' },
    {
      name: 'result',
      type: width === 1 || name === 'read' ? 'array<f32>' : 'array<vec4f>',
      access: 'read_write',
    },
  ],
  parameters: [['stretches', 'u32']],
  workgroupSize: ({ invocations }) => invocations,
  source: ({ name, width, unroll, invocations }) => {
    const loads = stretch / width;
    const at = (index: number) => `index + ${index * invocations}u`;
    const body =
      name === 'read'
        ? repeat(unroll, (index) => `sum_${index} += source[${at(index)}];`)
        : repeat(unroll, (index) => `result[${at(index)}] = source[${at(index)}];`);
    const type = width === 1 ? 'f32' : 'vec4f';
    const total = repeat(unroll, (index) => (width === 1 ? `sum_${index}` : `dot(sum_${index}, vec4f(1.0))`), ' + ');
    return {
      main: `
  ${name === 'read' ? repeat(unroll, (index) => `var sum_${index} = ${type}();`, '\n  ') : ''}
  let start = (group % params.stretches) * ${loads}u + lane;
  for (var index = start; index < start + ${loads}u - lane; index += ${unroll * invocations}u) {
    ${body}
  }
  ${name === 'read' ? `result[group * ${invocations}u + lane] = ${total};` : ''}`,
    };
  },
});

/**
 * Sums or copies a working set of `bytes`. Larger ones than a binding are spread over several buffers, launched one after
 * the other.
 */
export function memoryBenchmark(gpu: Gpu, candidate: MemoryCandidate): Microbenchmark {
  const { bytes, ...variant } = candidate;
  const { name, width, unroll, invocations } = variant;
  const most = Math.min(gpu.capabilities.maxStorageBinding, gpu.capabilities.maxBufferSize);
  const buffers = Math.ceil(bytes / most);
  const stretches = Math.floor(bytes / buffers / 4 / stretch);
  const rounds = Math.max(1, Math.floor(leastBytes / bytes));
  const groups = stretches * rounds;
  const tensors: Tensor[] = [];
  const make = (tensor: Tensor) => {
    tensors.push(gpu.keep(tensor));
    return tensor;
  };
  const pairs = Array.from({ length: buffers }, () => [
    make(gpu.zeros([stretches * stretch])),
    make(gpu.empty([name === 'read' ? groups * invocations : stretches * stretch])),
  ]);
  return {
    name,
    description: name === 'read' ? 'sum of a working set' : 'copy of a working set (bytes read and written both count)',
    parameters: { width, unroll, invocations },
    workingSetBytes: bytes,
    work: buffers * groups * stretch * 4 * (name === 'read' ? 1 : 2),
    launch: () => {
      for (const bindings of pairs) {
        gpu.launch(
          memoryKernel,
          { name, width, unroll, invocations },
          { bindings, parameters: [stretches], workgroups: groups },
        );
      }
    },
    dispose: () => {
      for (const tensor of tensors) tensor.dispose();
    },
  };
}
