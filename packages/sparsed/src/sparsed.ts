import {
  type AttentionCall,
  type AttentionContext,
  type Method,
  parseOptions,
  RefusedError,
  type Tensor,
} from '@saccade/core';
import { type ResolvedSparseDOptions, type SparseDOptions, sparseDOptions } from './options.ts';
import { stepKind } from './schedule.ts';
import { type BlockPattern, selectBlocks } from './select-blocks.ts';
import { SparseDState } from './state.ts';

type Context = AttentionContext<SparseDState>;

/**
 * SparseD (arXiv 2509.24014): attention of models that denoise whole sequences, such as masked diffusion language models. The first
 * steps are dense; one step chooses blocks of keys for each head and row of query blocks, and all later steps look at those alone.
 * Each layer, sample and branch of guidance has its own blocks; a generation's first step forgets those of the last one.
 *
 * @throws OptionError for an option out of its range. When it runs: ArgumentError for steps out of order and for batches and lengths that change
 *   behind the step that chooses; RefusedError for a generation that does not begin with its dense steps.
 */
export function sparseD(options: SparseDOptions = {}): Method<SparseDState> {
  const resolved = parseOptions(sparseDOptions, options);
  const { blockSize, importanceScale } = resolved;

  const kindOf = ({ step, globalLayer }: Context) => {
    if (globalLayer < 0) return undefined;
    if (!step) throw new RefusedError('sparsed follows denoising steps, and this run does not tell its step.');
    return stepKind(step.index, step.count, resolved);
  };

  return {
    name: 'sparsed',
    options: resolved,
    phases: ['denoise'],
    requires: { phases: ['denoise'], direction: 'bidirectional', globalLayers: 1 },
    listsKeys: true,
    createState: ({ gpu }) => new SparseDState(gpu),

    needs(context) {
      // With a scale of its own, importance is of another softmax than the layer's.
      if (kindOf(context) !== 'choosing' || importanceScale !== null) return undefined;
      return { blockMean: { queryBlock: blockSize, keyBlock: blockSize, padded: true } };
    },

    attend(context, call, next) {
      const kind = kindOf(context);
      if (kind === undefined) return next();
      const { state, step, globalLayer, sequence } = context;
      const key = state.enter(step?.index as number, globalLayer, sequence);
      if (kind === 'sparse') return next({ blocks: state.find(key, call.q.shape) });
      const result = next();
      if (kind === 'choosing') {
        state.store(key, choose(context, call, resolved, result.statistics?.blockMean), call.q.shape);
      }
      return result;
    },
  };
}

function choose(
  { gpu, step, queryLength }: Context,
  { q, keys, options }: AttentionCall,
  resolved: ResolvedSparseDOptions,
  importance: Tensor | undefined,
): BlockPattern {
  const { importanceScale } = resolved;
  const promptLength = Math.min(resolved.promptLength ?? step?.promptTokens ?? 0, queryLength);
  return gpu.tidy(() =>
    selectBlocks(q, keys, {
      ...resolved,
      promptLength,
      where: { ...options, ...(importanceScale === null ? {} : { scale: importanceScale }) },
      ...(importance ? { importance } : {}),
    }),
  );
}
