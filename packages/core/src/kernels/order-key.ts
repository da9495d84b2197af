/** Element types whose order GPU selection and sorting understand. */
export type OrderedDtype = 'f32' | 'i32' | 'u32';

/**
 * Declares `order_key(bits: u32) -> u32`: the unsigned order of the keys is the numeric order of the elements whose bit
 * patterns they came from. Negative zero and zero get the same key; subnormals and infinities keep their place. Works
 * on bits only, since WGSL may flush or ignore special floats. NaN has no place in the order.
 */
export function orderKeyFunction(dtype: OrderedDtype): string {
  const body = {
    u32: 'return bits;',
    i32: 'return bits ^ 0x80000000u;',
    f32: `let canonical = select(bits, 0u, bits == 0x80000000u);
  return canonical ^ select(0x80000000u, 0xffffffffu, canonical >= 0x80000000u);`,
  }[dtype];
  return `
fn order_key(bits: u32) -> u32 {
  ${body}
}`;
}
