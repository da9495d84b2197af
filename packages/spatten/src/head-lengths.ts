import { cast, scale, type Tensor } from '@saccade/core';

/**
 * Valid keys as options of attention: of heads that are left out none, so that they load nothing.
 *
 * @param heads f32 [Hkv], 1 or 0; undefined where all count.
 */
export function headLengths(
  heads: Tensor | undefined,
  keyLength: number,
): { readonly keyLength: number | Tensor; readonly keyBound?: number } {
  if (!heads) return { keyLength };
  return { keyLength: cast(scale(heads, keyLength), 'u32').reshape([1, heads.size]), keyBound: keyLength };
}
