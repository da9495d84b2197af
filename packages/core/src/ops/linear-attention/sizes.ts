import { ArgumentError, ShapeError } from '../../errors.ts';
import { sameShape } from '../../tensor/shape.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { checkFeatureMap, type FeatureMap, featureCount } from './feature-map.ts';

/** Sizes of a call over G = B H sequences of rows that are independent of each other. */
export interface ChunkSizes {
  readonly groups: number;
  readonly rows: number;
  readonly chunk: number;
  readonly chunks: number;
  /** D, of queries and keys. */
  readonly size: number;
  readonly valueSize: number;
  readonly map: FeatureMap;
  readonly scale: number;
}

/** Options that all passes share. */
export interface FeatureOptions {
  /** Default `taylor`. */
  readonly featureMap?: FeatureMap;
  /** Factor of q . k, positive. Default 1 / sqrt(D). */
  readonly scale?: number;
}

/** Rows that attend to each other directly, at least; longer sequences pass a state on from chunk to chunk. */
const shortestChunk = 128;

/** Largest sizes of keys and of values: an invocation holds one row of each. */
export const mostColumns = 256;

/** Checks q, k and v. @throws ShapeError, ArgumentError */
export function checkRows(operation: string, q: Tensor, k: Tensor, v: Tensor): void {
  for (const [name, tensor] of Object.entries({ q, k, v })) {
    if (tensor.rank !== 4 || tensor.dtype !== 'f32') {
      throw new ShapeError(operation, `${name} is ${tensor.dtype}[${tensor.shape}]; needs f32 [B, H, N, D].`);
    }
    const columns = tensor.shape[3] as number;
    if (columns < 1 || columns > mostColumns) {
      throw new ShapeError(operation, `${name} is [${tensor.shape}]; its last axis is 1 to ${mostColumns}.`);
    }
  }
  if (!sameShape(q.shape, k.shape)) throw new ShapeError(operation, `q is [${q.shape}], k is [${k.shape}].`);
  if (!sameShape(v.shape.slice(0, 3), k.shape.slice(0, 3))) {
    throw new ShapeError(operation, `k is [${k.shape}], v is [${v.shape}]; B, H and N must agree.`);
  }
}

/** Sizes of a checked call. @throws ArgumentError */
export function chunkSizes(
  operation: string,
  q: Tensor,
  v: Tensor,
  { featureMap = 'taylor', scale, chunk }: FeatureOptions & { readonly chunk?: number },
): ChunkSizes {
  checkFeatureMap(operation, featureMap);
  const [batch, heads, rows, size] = q.shape as [number, number, number, number];
  const factor = scale ?? 1 / Math.sqrt(size);
  if (!(factor > 0 && Number.isFinite(factor))) throw new ArgumentError(`${operation}: scale`, scale, 'a number > 0');
  if (chunk !== undefined && !(Number.isInteger(chunk) && chunk >= 1)) {
    throw new ArgumentError(`${operation}: chunk`, chunk, 'an integer of 1 or more');
  }
  const groups = batch * heads;
  const valueSize = v.shape[3] as number;
  const stateBytes = 4 * groups * featureCount(featureMap, size) * valueSize;
  const held = Math.max(
    1,
    Math.min(chunk ?? fittingChunk(rows, stateBytes, q.gpu.capabilities.maxStorageBinding), rows),
  );
  return {
    groups,
    rows,
    chunk: held,
    chunks: Math.ceil(rows / held),
    size,
    valueSize,
    map: featureMap,
    scale: factor,
  };
}

/** The shortest chunk of which all states fit into one binding. */
function fittingChunk(rows: number, stateBytes: number, maxStorageBinding: number): number {
  let chunk = shortestChunk;
  while (chunk < rows && Math.ceil(rows / chunk) * stateBytes > maxStorageBinding) chunk *= 2;
  return chunk;
}
