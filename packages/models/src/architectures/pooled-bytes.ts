import type { Tensor } from '@saccade/core';

/** Bytes of the buffers that hold a tensor. */
export function pooledBytes({ storage }: Tensor): number {
  return storage.pieces.reduce((sum, { buffer }) => sum + buffer.bytes, 0);
}
