import type { Capabilities } from '../device/capabilities.ts';
import { elementAccess } from '../kernels/wgsl.ts';

/** Element types of tensors that attention reads. */
export type AttentionDtype = 'f32' | 'f16';

/** As keys and values have them: of a tensor, or in the pages of a cache. */
export type RowDtype = AttentionDtype | 'paged';

/** WGSL access to one of the inputs, by element or by four elements. */
export interface InputAccess {
  /** Store type of the binding. */
  readonly type: string;
  /** f32 element at an index in elements; only where the binding is not vectorised. */
  readonly load: (index: string) => string;
  /** vec4f at an index in elements (a multiple of 4). */
  readonly load4: (index: string) => string;
}

/**
 * @param vector Whether the binding holds vec4 (all strides and the offset are multiples of 4 elements).
 */
export function inputAccess(name: string, dtype: RowDtype, vector: boolean, capabilities: Capabilities): InputAccess {
  if (dtype === 'paged') {
    // Declared by `rowInput`.
    return {
      type: 'array<u32>',
      load: (index) => `${name}_element(${index})`,
      load4: (index) => `${name}_quad(${index})`,
    };
  }
  if (!vector) {
    const { type, load } = elementAccess(name, dtype, capabilities);
    const load4 = (index: string) => `vec4f(${[0, 1, 2, 3].map((i) => load(`${index} + ${i}u`)).join(', ')})`;
    return { type, load, load4 };
  }
  const word = (index: string) => `${name}[(${index}) >> 2u]`;
  const packed = dtype === 'f16' && !capabilities.f16;
  const load4 = (index: string) =>
    dtype === 'f32'
      ? word(index)
      : packed
        ? `vec4f(unpack2x16float(${word(index)}.x), unpack2x16float(${word(index)}.y))`
        : `vec4f(${word(index)})`;
  const load = (index: string) => `${load4(index)}[(${index}) & 3u]`;
  const type = dtype === 'f32' ? 'array<vec4f>' : packed ? 'array<vec2u>' : 'array<vec4<f16>>';
  return { type, load, load4 };
}

/** vec4f of four elements at `at`, which is quad number `quad` of a row; elements past the head size are zero. */
export function quadOfRow(input: InputAccess, headSize: number, at: string, quad: string): string {
  if (headSize % 4 === 0) return input.load4(at);
  const element = (d: number) => `select(0.0, ${input.load(`${at} + ${d}u`)}, 4u * ${quad} + ${d}u < ${headSize}u)`;
  return `vec4f(${[0, 1, 2, 3].map(element).join(', ')})`;
}
