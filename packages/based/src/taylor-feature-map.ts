import { concatenate, gather, multiply, ShapeError, scale, type Tensor } from '@saccade/core';

/** Features of the published form, 1 + f + f^2, and of the symmetric one, which holds each product once. */
export function taylorFeatureCount(featureDim: number, options: { readonly symmetric?: boolean } = {}): number {
  return options.symmetric ? ((featureDim + 1) * (featureDim + 2)) / 2 : 1 + featureDim + featureDim ** 2;
}

/**
 * The exponential's Taylor expansion to second order as a feature map: `phi(q) . phi(k) = 1 + s + s^2 / 2` with s = q . k / sqrt(f)
 * (Based, section 4.1). For looking at: {@link basedLinearAttention} never stores features.
 *
 * @param x f32 [..., f]
 * @param options `symmetric`: x_i x_j once, for i <= j, times sqrt(2) where i < j: the same products from 153 instead of 273 numbers
 *   at f = 16. Default false, the order of the published code: 1, x / f^(1/4), x_i x_j / (sqrt(2) sqrt(f)).
 * @returns f32 [..., D], see {@link taylorFeatureCount}
 * @throws ShapeError for another dtype or a scalar
 */
export function taylorFeatureMap(x: Tensor, options: { readonly symmetric?: boolean } = {}): Tensor {
  const size = x.shape.at(-1);
  if (size === undefined || size < 1 || x.dtype !== 'f32') {
    throw new ShapeError('taylorFeatureMap', `x is ${x.dtype}[${x.shape}]; needs f32 [..., f].`);
  }
  const { gpu } = x;
  return gpu.tidy(() => {
    const rows = x.size / size;
    const flat = scale(x, size ** -0.25).reshape([rows, size]);
    const products = multiply(flat.reshape([rows, size, 1]), flat.reshape([rows, 1, size])).reshape([
      rows,
      size * size,
    ]);
    const squares = options.symmetric ? upperTriangle(products, size) : scale(products, Math.SQRT1_2);
    const one = scale(gpu.zeros([rows, 1]), 0, 1);
    const features = concatenate([one, flat, squares], 1);
    return features.reshape([...x.shape.slice(0, -1), features.shape[1] as number]);
  });
}

/** Columns (i, j) with i <= j of rows of f x f products: halves on the diagonal become one over sqrt(2). */
function upperTriangle(products: Tensor, size: number): Tensor {
  const { gpu } = products;
  const places = Array.from({ length: size }, (_, i) =>
    Array.from({ length: size - i }, (_, step) => [i, i + step] as const),
  ).flat();
  const indices = gpu.tensor(
    places.map(([i, j]) => i * size + j),
    [places.length],
    'u32',
  );
  const factors = gpu.tensor(
    places.map(([i, j]) => (i === j ? Math.SQRT1_2 : 1)),
    [places.length, 1],
  );
  return multiply(gather(products.transpose(), indices), factors).transpose();
}
