import { defineKernel } from './kernel.ts';
import { exponentBits } from './wgsl.ts';

export type FloatFormat = keyof typeof exponentBits;

/**
 * Lowers `first` to `number` where a word holds NaN or infinity. Words hold one f32, or two 16-bit floats of which the last word's second
 * may lie beyond the tensor.
 */
export const scanForNonFinite = defineKernel<{ format: FloatFormat }>({
  name: 'scanForNonFinite',
  bindings: () => [
    { name: 'words', type: 'array<u32>', access: 'read' },
    { name: 'first', type: 'atomic<u32>', access: 'read_write' },
  ],
  parameters: [
    ['size', 'u32'],
    ['number', 'u32'],
  ],
  workgroupSize: () => 64,
  source: ({ format }) => ({
    main: `
  let index = group * 64u + lane;
  if (index >= params.size) { return; }
  let bits = ${format === 'f32' ? 'words[index]' : '(words[index / 2u] >> (16u * (index & 1u)))'};
  if ((bits & ${exponentBits[format]}u) == ${exponentBits[format]}u) { atomicMin(&first, params.number); }`,
  }),
});
