import { defineKernel, type Gpu } from '@saccade/core';
import type { Microbenchmark } from './microbenchmark.ts';

const emptyKernel = defineKernel<Record<never, never>>({
  name: 'roofline.empty',
  bindings: () => [{ name: 'result', type: 'array<f32>', access: 'read_write' }],
  parameters: [['writes', 'u32']],
  workgroupSize: () => 64,
  source: () => ({ main: '  if (params.writes != 0u) { result[lane] = 0.0; }' }),
});

/**
 * What a dispatch of one empty workgroup costs in a long submission, or a whole submission with one such dispatch, waited
 * for: recording, submitting, running and waking up.
 */
export function latencyBenchmark(gpu: Gpu, name: 'dispatch-latency' | 'submit-latency'): Microbenchmark {
  const result = gpu.keep(gpu.empty([64]));
  return {
    name,
    description:
      name === 'dispatch-latency'
        ? 'an empty dispatch in a long submission, recording included'
        : 'a submission of one empty dispatch, waited for',
    parameters: {},
    work: 1,
    launch: () => gpu.launch(emptyKernel, {}, { bindings: [result], parameters: [0], workgroups: 1 }),
    ...(name === 'submit-latency' ? { between: () => gpu.synchronize() } : {}),
    dispose: () => result.dispose(),
  };
}
