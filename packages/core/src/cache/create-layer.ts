import { checkInteger } from '../attention/check-inputs.ts';
import type { Gpu } from '../device/gpu.ts';
import { ArgumentError } from '../errors.ts';
import { ContiguousLayer } from './contiguous-layer.ts';
import { PagedLayer } from './paged/paged-layer.ts';
import { resolvePagedOptions } from './paged/precision.ts';
import type { RowShape } from './row-storage.ts';
import { StateLayer } from './state-layer.ts';
import type { CacheLayer, LayerCacheSpec } from './types.ts';
import { WindowLayer } from './window-layer.ts';

/** The layer that a spec asks for, without tokens. @throws ArgumentError, ShapeError, LimitError */
export function createLayer(gpu: Gpu, spec: LayerCacheSpec, owner: RowShape): CacheLayer {
  if (spec.kind === 'state') return StateLayer.create(gpu, owner.batch, spec);
  const { kvHeads = owner.kvHeads, headSize = owner.headSize } = spec;
  checkInteger('KvCache: kvHeads', kvHeads, 1, 2 ** 31);
  checkInteger('KvCache: headSize', headSize, 1, 2 ** 31);
  // Two halves share a word, which one invocation writes.
  if (owner.dtype === 'f16' && headSize % 2 === 1) {
    throw new ArgumentError('KvCache: headSize', headSize, 'an even number for f16');
  }
  const shape = { ...owner, kvHeads, headSize };
  if (spec.kind === 'contiguous') return ContiguousLayer.create(gpu, shape);
  if (spec.kind === 'window') {
    checkInteger('KvCache: window', spec.window, 1, 2 ** 31);
    return WindowLayer.create(gpu, { ...shape, capacity: spec.window });
  }
  if (spec.kind === 'paged') return PagedLayer.create(gpu, shape, resolvePagedOptions(spec, headSize, owner.dtype));
  throw new ArgumentError('KvCache: kind', (spec as { kind: unknown }).kind, 'contiguous, window, paged, state');
}
