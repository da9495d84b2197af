import { lowestScore } from '../kernels/wgsl.ts';
import type { Tensor } from '../tensor/tensor.ts';

/**
 * Reads log-sum-exps or row maxima; rows that saw no key read -Infinity (on the GPU they hold a finite sentinel, since
 * WGSL promises no infinity). One readback.
 */
export async function readLogSumExp(tensor: Tensor): Promise<Float32Array> {
  return Float32Array.from(await tensor.read(), (value) =>
    value <= lowestScore / 2 ? Number.NEGATIVE_INFINITY : value,
  );
}
