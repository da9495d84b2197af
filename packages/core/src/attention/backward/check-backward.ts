import { ArgumentError, ShapeError } from '../../errors.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { type AttentionShape, checkDeviceNumbers, checkInputs, checkLists } from '../check-inputs.ts';
import type { MaskSources } from '../mask-sources.ts';
import { callSources } from '../where-to-look.ts';
import type { AttentionBackwardOptions } from './types.ts';

const operation = 'attentionBackward';

/** Options of the forward call that no gradient leads through, or for which none is made, and what to do instead. */
const refused: Readonly<Record<string, string>> = {
  normalizer: 'rows normalised by their own log-sum-exp: the gradient through a given one is unknown',
  givenProbabilities: 'probabilities of the scores: those given from outside have no gradient by q and k',
  order: 'tensors in the order of positions: `tokenPermute` has a gradient',
  keyStarts: 'keys and values [B, Hkv, M, D]: ragged storage is a cache after eviction',
};

/** Checks everything that `attentionBackward` takes. */
export function checkBackward(
  dOut: Tensor,
  q: Tensor,
  k: Tensor,
  v: Tensor,
  options: AttentionBackwardOptions,
): { readonly shape: AttentionShape; readonly sources: MaskSources } {
  for (const [name, allowed] of Object.entries(refused)) {
    const given: unknown = Reflect.get(options, name);
    if (given !== undefined) throw new ArgumentError(`${operation}: ${name}`, 'given', allowed);
  }
  const shape = checkInputs(q, k, v, options);
  const { batches, heads, queries, headSize } = shape;
  checkFloats('dOut', dOut, [batches, heads, queries, headSize]);
  checkFloats('output', options.output, [batches, heads, queries, headSize]);
  checkFloats('logSumExp', options.logSumExp, [batches, heads, queries]);
  const sources = callSources(options);
  checkLists(operation, sources, shape);
  if (options.keyPositions && (sources.tokens || sources.blocks)) {
    throw new ArgumentError(
      `${operation}: keyPositions`,
      'with lists',
      'predicates, or rows in the order of positions',
    );
  }
  if (options.streamedRowCounter)
    checkDeviceNumbers(`${operation}: streamedRowCounter`, options.streamedRowCounter, [2]);
  return { shape, sources };
}

function checkFloats(name: string, tensor: Tensor, shape: readonly number[]): void {
  if (tensor.dtype !== 'f32') throw new ArgumentError(`${operation}: dtype of ${name}`, tensor.dtype, 'f32');
  if (tensor.rank !== shape.length || shape.some((size, axis) => tensor.shape[axis] !== size)) {
    throw new ShapeError(operation, `${name} is [${tensor.shape}]; it takes [${shape}].`);
  }
}
