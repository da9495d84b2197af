import { ArgumentError, ShapeError } from '../errors.ts';
import { type Seed, splitSeed } from '../random/seed.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { contiguous } from './copy.ts';
import {
  filteredToken,
  greedyToken,
  groupMasses,
  groupMaxima,
  repetitionPenalty,
  unfilteredToken,
} from './sampling-kernels.ts';

export interface SampleTokenOptions {
  /** 0 (default): the largest logit, lowest token on ties; no other filter matters then. Above 0: logits are divided by it. */
  readonly temperature?: number;
  /** Keep the k largest logits and what equals the k-th. Default 0: all. */
  readonly topK?: number;
  /** Then keep the smallest set of most probable tokens whose probability reaches p, at least one. In (0, 1]; default 1: all. */
  readonly topP?: number;
  /** Default 0. */
  readonly seed?: Seed;
  /** Counts the draws of a run: from 0 to 2^32 - 1; the same seed, position and row give the same number. Default 0. */
  readonly position?: number;
  /** Each token of the history once: positive logits are divided by it, negative ones multiplied. Default 1. */
  readonly repetitionPenalty?: number;
  /** u32 [B, L]: tokens so far. Entries outside the vocabulary are ignored. */
  readonly history?: Tensor;
  /** How many leading entries of the history count: for all rows, or u32 [B]. Default L. */
  readonly historyLength?: Tensor | number;
}

/** Tokens per group: enough groups that the top-k bound cuts most of them away. */
function groupSizeFor(vocabulary: number, topK: number): number {
  for (const size of [64, 16]) if (4 * topK <= vocabulary / size) return size;
  return 4;
}

/**
 * Chooses the next token of each row on the GPU. Filters follow the order of Hugging Face's processors: repetition penalty,
 * temperature, top-k, top-p. Of tokens with equal logits at the edge of the top-p set, the lower ones are kept.
 *
 * The draw takes the uniform number u of (seed, position, row) from Philox: the first token, in token order, where
 * the cumulative probability of the kept tokens exceeds u. Greedy and top-k take two dispatches, the others three; a penalty adds one.
 *
 * @param logits f32 [B, V], finite (or masked by -1e38 or less).
 * @returns u32 [B].
 * @throws ArgumentError for an option out of its range; ShapeError for tensors that do not fit; LimitError over the binding limit.
 */
export function sampleToken(logits: Tensor, options: SampleTokenOptions = {}): Tensor {
  const { gpu } = logits;
  const [batch, vocabulary] = logits.shape as readonly [number, number];
  if (logits.rank !== 2 || logits.dtype !== 'f32' || vocabulary === 0) {
    throw new ShapeError(
      'sampleToken',
      `logits ${logits.dtype}[${logits.shape}]; needs f32 [B, V] with V of 1 or more.`,
    );
  }
  const { temperature = 0, topK = 0, topP = 1, seed = 0, position = 0 } = options;
  if (!(temperature >= 0 && Number.isFinite(temperature))) {
    throw new ArgumentError('sampleToken: temperature', temperature, 'a finite number of 0 or more');
  }
  if (!Number.isInteger(topK) || topK < 0)
    throw new ArgumentError('sampleToken: topK', topK, 'an integer of 0 (all) or more');
  if (!(topP > 0 && topP <= 1)) throw new ArgumentError('sampleToken: topP', topP, 'a number above 0 and up to 1');
  if (!Number.isInteger(position) || position < 0 || position >= 2 ** 32) {
    throw new ArgumentError('sampleToken: position', position, 'an integer from 0 to 2^32 - 1');
  }
  const [seedLow, seedHigh] = splitSeed('sampleToken: seed', seed);

  return gpu.tidy(() => {
    const source = penalised(contiguous(logits), batch, vocabulary, options);
    const tokens = gpu.empty([batch], 'u32');
    const filterK = temperature > 0 && topK > 0 && topK < vocabulary;
    const filterP = temperature > 0 && topP < 1;
    const groupSize = groupSizeFor(vocabulary, filterK ? topK : 0);
    const groups = Math.ceil(vocabulary / groupSize);
    const sizes = [vocabulary, groups, groupSize];
    const cost = { flops: logits.size, bytes: 4 * logits.size };
    const keys = gpu.empty([batch, groups], 'u32');
    gpu.launch(
      groupMaxima,
      {},
      {
        bindings: [source, keys],
        parameters: [...sizes, batch * groups],
        workgroups: Math.ceil((batch * groups) / 64),
        cost,
      },
    );
    const rowCost = { flops: batch * groups, bytes: 4 * batch * groups };
    if (temperature === 0) {
      gpu.launch(
        greedyToken,
        {},
        { bindings: [source, keys, tokens], parameters: sizes, workgroups: batch, cost: rowCost },
      );
      return tokens;
    }
    const draw = [1 / temperature, seedLow, seedHigh, position];
    const masses = filterK ? [] : [gpu.empty([batch, groups, 2], 'u32')];
    for (const target of masses) {
      const parts = Math.ceil(groups / 64);
      gpu.launch(
        groupMasses,
        {},
        {
          bindings: [source, keys, target],
          parameters: [...sizes, parts, 1 / temperature],
          workgroups: batch * parts,
          cost,
        },
      );
    }
    if (!filterK && !filterP) {
      gpu.launch(
        unfilteredToken,
        {},
        {
          bindings: [source, keys, ...masses, tokens],
          parameters: [...sizes, ...draw],
          workgroups: batch,
          cost: rowCost,
        },
      );
      return tokens;
    }
    const candidates = gpu.empty([batch, vocabulary, 2], 'u32');
    const share = Math.min(Math.round(topP * 2 ** 32), 2 ** 32 - 1);
    // A quarter of the bound leaves room for masses rounded up to a unit.
    const tail = filterP ? temperature * Math.log((1 - topP) / (4 * vocabulary)) : 0;
    gpu.launch(
      filteredToken,
      { topK: filterK, topP: filterP },
      {
        bindings: [source, keys, ...masses, candidates, tokens],
        parameters: [...sizes, ...draw, topK, share, tail],
        workgroups: batch,
        cost: rowCost,
      },
    );
    return tokens;
  });
}

/** The logits with the repetition penalty applied to a copy; themselves where there is none. */
function penalised(logits: Tensor, batch: number, vocabulary: number, options: SampleTokenOptions): Tensor {
  const { repetitionPenalty: penalty = 1, history, historyLength } = options;
  if (!(penalty > 0 && Number.isFinite(penalty))) {
    throw new ArgumentError('sampleToken: repetitionPenalty', penalty, 'a finite number above 0');
  }
  if (!history) {
    if (penalty !== 1)
      throw new ArgumentError('sampleToken: history', undefined, 'u32 [B, L] where there is a repetition penalty');
    return logits;
  }
  const size = history.shape[1] as number;
  if (history.rank !== 2 || history.shape[0] !== batch || history.dtype !== 'u32') {
    throw new ShapeError('sampleToken', `history ${history.dtype}[${history.shape}] is not u32 [${batch}, L].`);
  }
  const limit = historyLength ?? size;
  if (typeof limit === 'number') {
    if (!Number.isInteger(limit) || limit < 0 || limit > size) {
      throw new ArgumentError('sampleToken: historyLength', limit, `an integer from 0 to ${size}, or u32 [B]`);
    }
  } else if (limit.dtype !== 'u32' || limit.size !== batch) {
    throw new ShapeError('sampleToken', `historyLength ${limit.dtype}[${limit.shape}] is not u32 [${batch}].`);
  }
  if (penalty === 1 || history.size === 0) return logits;
  const { gpu } = logits;
  const copy = gpu.empty(logits.shape);
  gpu.copyBytes(gpu.range(logits, 'sampleToken'), gpu.range(copy, 'sampleToken'), 4 * logits.size);
  const ragged = typeof limit !== 'number';
  gpu.launch(
    repetitionPenalty,
    { ragged },
    {
      bindings: [logits, contiguous(history), ...(ragged ? [limit] : []), copy],
      parameters: [vocabulary, size, ragged ? size : limit, history.size, penalty],
      workgroups: Math.ceil(history.size / 64),
      cost: { flops: history.size, bytes: 12 * history.size },
    },
  );
  return copy;
}
