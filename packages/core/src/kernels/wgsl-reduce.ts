import type { Capabilities } from '../device/capabilities.ts';

/**
 * Declares `fn <name>(value: T, lane: u32) -> T` for the WGSL type T: all lanes of a workgroup of `size` combined by `combine`, a WGSL
 * expression of `a` and `b`; every lane gets the result. May be called several times; all lanes must call it.
 *
 * A GPU halves the partial results in steps; a software adapter, for which barriers are dear, adds them in one loop.
 */
export function workgroupReduction(
  name: string,
  size: number,
  combine: string,
  capabilities: Capabilities,
  type = 'f32',
): string {
  const head = `
var<workgroup> ${name}_partial: array<${type}, ${size}>;
fn ${name}_combine(a: ${type}, b: ${type}) -> ${type} {
  return ${combine};
}
fn ${name}(value: ${type}, lane: u32) -> ${type} {
  ${name}_partial[lane] = value;
  workgroupBarrier();`;
  if (capabilities.software) {
    return `${head}
  var result = ${name}_partial[0];
  for (var i = 1u; i < ${size}u; i++) { result = ${name}_combine(result, ${name}_partial[i]); }
  workgroupBarrier();
  return result;
}`;
  }
  return `${head}
  for (var step = ${size / 2}u; step > 0u; step /= 2u) {
    if (lane < step) { ${name}_partial[lane] = ${name}_combine(${name}_partial[lane], ${name}_partial[lane + step]); }
    workgroupBarrier();
  }
  let result = ${name}_partial[0];
  workgroupBarrier();
  return result;
}`;
}

/** Lanes that share one row of `columns` elements: enough to read it in a few steps, a power of two. */
export function lanesPerRow(columns: number, capabilities: Capabilities): number {
  // Measured on lavapipe: 32 lanes answer one row of 576 soonest; 8 to 32 do as well on many rows.
  if (capabilities.software) return columns <= 32 ? 8 : 32;
  if (columns <= 32) return 32;
  return columns <= 256 ? 64 : Math.min(256, capabilities.maxInvocations);
}
