/** Sizes of a convolution of images [B, C, H, W] with a weight [O, C / groups, kernel]. */
export interface ConvolutionReferenceSizes {
  readonly images: number;
  readonly inputs: number;
  readonly outputs: number;
  readonly size: readonly [number, number];
  readonly kernel: readonly [number, number];
  /** Default 1. */
  readonly groups?: number;
  /** Default [1, 1]. */
  readonly stride?: readonly [number, number];
  /** Default [0, 0]. */
  readonly padding?: readonly [number, number];
  /** Default [1, 1]. */
  readonly dilation?: readonly [number, number];
  /** Of a transposed convolution. Default [0, 0]. */
  readonly outputPadding?: readonly [number, number];
}

/** Visits each product of a convolution whose output has `outSize` positions: indices of the image, the weight and the output. */
function eachProduct(
  sizes: ConvolutionReferenceSizes,
  outSize: readonly [number, number],
  visit: (image: number, weight: number, output: number) => void,
): void {
  const { images, inputs, outputs, size, kernel, groups = 1 } = sizes;
  const { stride = [1, 1], padding = [0, 0], dilation = [1, 1] } = sizes;
  const perGroup = [inputs / groups, outputs / groups] as const;
  for (let image = 0; image < images; image++) {
    for (let output = 0; output < outputs; output++) {
      for (let own = 0; own < perGroup[0]; own++) {
        const input = Math.floor(output / perGroup[1]) * perGroup[0] + own;
        for (let at = 0; at < outSize[0] * outSize[1] * kernel[0] * kernel[1]; at++) {
          const tap = at % (kernel[0] * kernel[1]);
          const window = Math.floor(at / (kernel[0] * kernel[1]));
          const place = (axis: 0 | 1, step: number, element: number) =>
            step * stride[axis] + element * dilation[axis] - padding[axis];
          const y = place(0, Math.floor(window / outSize[1]), Math.floor(tap / kernel[1]));
          const x = place(1, window % outSize[1], tap % kernel[1]);
          if (y < 0 || x < 0 || y >= size[0] || x >= size[1]) continue;
          visit(
            ((image * inputs + input) * size[0] + y) * size[1] + x,
            (output * perGroup[0] + own) * kernel[0] * kernel[1] + tap,
            (image * outputs + output) * outSize[0] * outSize[1] + window,
          );
        }
      }
    }
  }
}

/** Cross-correlation [B, O, H', W'] in plain f64 loops. */
export function convolutionReference(
  x: ArrayLike<number>,
  weight: ArrayLike<number>,
  sizes: ConvolutionReferenceSizes,
  bias?: ArrayLike<number>,
): Float64Array {
  const { images, outputs, size, kernel, stride = [1, 1], padding = [0, 0], dilation = [1, 1] } = sizes;
  const count = (axis: 0 | 1) =>
    Math.floor((size[axis] + 2 * padding[axis] - dilation[axis] * (kernel[axis] - 1) - 1) / stride[axis]) + 1;
  const outSize = [count(0), count(1)] as const;
  const windows = outSize[0] * outSize[1];
  const out = Float64Array.from(
    { length: images * outputs * windows },
    (_, at) => bias?.[Math.floor(at / windows) % outputs] ?? 0,
  );
  eachProduct(sizes, outSize, (from, by, to) => {
    out[to] = (out[to] as number) + (x[from] as number) * (weight[by] as number);
  });
  return out;
}

/** The transpose: x [B, C, H, W] and a weight [C, O / groups, kernel] give [B, O, H', W']; sizes are those of x and the output. */
export function transposedConvolutionReference(
  x: ArrayLike<number>,
  weight: ArrayLike<number>,
  sizes: ConvolutionReferenceSizes,
  bias?: ArrayLike<number>,
): Float64Array {
  const { images, inputs, outputs, kernel, outputPadding = [0, 0] } = sizes;
  const { size, stride = [1, 1], padding = [0, 0], dilation = [1, 1] } = sizes;
  const whole = (axis: 0 | 1) =>
    (size[axis] - 1) * stride[axis] - 2 * padding[axis] + dilation[axis] * (kernel[axis] - 1) + outputPadding[axis] + 1;
  const outSize = [whole(0), whole(1)] as const;
  const windows = outSize[0] * outSize[1];
  const out = Float64Array.from(
    { length: images * outputs * windows },
    (_, at) => bias?.[Math.floor(at / windows) % outputs] ?? 0,
  );
  // The convolution that it transposes goes from the output to x.
  eachProduct({ ...sizes, inputs: outputs, outputs: inputs, size: outSize }, size, (to, by, from) => {
    out[to] = (out[to] as number) + (x[from] as number) * (weight[by] as number);
  });
  return out;
}
