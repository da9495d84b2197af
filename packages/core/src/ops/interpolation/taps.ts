/** Where the samples of a resized axis lie between those of the axis itself, in WGSL. */

export type Interpolation = 'nearest' | 'bilinear';

export interface TapVariant {
  readonly mode: Interpolation;
  /** Corners are kept in place: the first and last samples agree, rather than the edges of the first and last cells. */
  readonly alignCorners: boolean;
}

/**
 * Declares `fn taps(at: u32, size: u32, out_size: u32) -> Taps`: the two neighbours of output sample `at`, and the share of the upper one;
 * and `fn share_of(at, size, out_size, own) -> f32`: the share of neighbour `own`.
 */
export function tapFunctions({ mode, alignCorners }: TapVariant): string {
  const source = alignCorners
    ? 'f32(at) * f32(size - 1u) / f32(max(out_size, 2u) - 1u)'
    : 'max((f32(at) + 0.5) * f32(size) / f32(out_size) - 0.5, 0.0)';
  const body =
    mode === 'nearest'
      ? 'let low = at * size / out_size; return Taps(low, low, 0.0);'
      : `let place = ${source};
  let low = min(u32(place), size - 1u);
  return Taps(low, min(low + 1u, size - 1u), place - f32(low));`;
  return `
struct Taps { low: u32, high: u32, share: f32 }
fn taps(at: u32, size: u32, out_size: u32) -> Taps {
  ${body}
}
fn share_of(at: u32, size: u32, out_size: u32, own: u32) -> f32 {
  let found = taps(at, size, out_size);
  return select(0.0, 1.0 - found.share, found.low == own) + select(0.0, found.share, found.high == own);
}
// Output samples that may lie next to input sample \`own\`: the first, and the one behind the last.
fn samples_near(own: u32, size: u32, out_size: u32) -> vec2<u32> {
  let step = ${alignCorners ? 'f32(max(out_size, 2u) - 1u) / f32(max(size, 2u) - 1u)' : 'f32(out_size) / f32(size)'};
  let shift = ${alignCorners ? '0.0' : '0.5'};
  // One more on either side, for rounding.
  let first = floor((f32(own) - 1.0 + shift) * step - shift) - 1.0;
  let last = ceil((f32(own) + 1.0 + shift) * step - shift) + 1.0;
  return vec2<u32>(u32(max(first, 0.0)), select(min(u32(last) + 1u, out_size), out_size, size == 1u));
}`;
}
