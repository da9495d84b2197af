import {
  type AttentionCall,
  type AttentionContext,
  type AttentionRestriction,
  type AttentionResult,
  attention,
  gridTokens,
  type Method,
  parseOptions,
  RefusedError,
  resolveLayers,
  type Tensor,
  type TokenGrid,
} from '@saccade/core';
import { type Neighborhood, perAxis } from './neighborhood.ts';
import { type GnaOptions, gnaOptions, type ResolvedGnaOptions } from './options.ts';
import type { PlannedTokens } from './plan.ts';
import { GnaState } from './state.ts';

type Context = AttentionContext<GnaState>;

/**
 * Generalized Neighborhood Attention (arXiv 2504.16922): in models whose tokens lie on a grid, each token attends to those near it, and to all
 * text tokens of the sequence; text tokens attend to all. Without training. In models of text the grid is the line of tokens, and prompts
 * are what it acts on.
 *
 * @throws OptionError for an option out of its range. When a layer runs: RefusedError where the model's grid has another number of axes
 *   than the options; ArgumentError for strides and dilations that do not fit it.
 */
export function gna(options: GnaOptions = {}): Method<GnaState> {
  const resolved = parseOptions(gnaOptions, options);
  return {
    name: 'gna',
    options: resolved,
    phases: ['prefill', 'encode', 'denoise'],
    requires: { globalLayers: 1 },
    createState({ facts }) {
      const global = facts.layerKinds.filter((kind) => kind === 'global').length;
      return new GnaState(resolveLayers(resolved.layers, global));
    },
    attend(context, call, next) {
      const { step, globalLayer, state, model, keyLength } = context;
      if (!state.layers.has(globalLayer) || (step && step.index < resolved.denseSteps)) return next();
      const tokens = sequenceOf(model.tokenGrid, keyLength);
      // Attention of images over texts reads other tokens than it is asked by.
      const own = call.keys.shape[2] === keyLength && call.q.shape[2] === keyLength;
      if (model.tokenGrid && (!own || tokens.length !== keyLength)) return next();
      const axes = axesOf(resolved, tokens.layout, model.causal);
      if (tokens.layout.every((size, axis) => axes.window[axis] === size && !axes.causal[axis])) return next();
      const tiled = own && model.tokenGrid !== undefined && isPlain(call);
      return tiled ? attendInTiles(context, call, tokens, axes) : next(rowMajor(tokens, axes));
    },
  };
}

/** The tokens of a sequence: a grid, and text before or behind it. */
interface SequenceTokens {
  readonly layout: readonly number[];
  readonly start: number;
  readonly others: number;
  /** All of them. */
  readonly length: number;
}

function sequenceOf(grid: TokenGrid | undefined, keyLength: number): SequenceTokens {
  if (!grid) return { layout: [keyLength], start: 0, others: 0, length: keyLength };
  const { frames, height, width, textTokens, textFirst } = grid;
  const layout = [...(frames === undefined ? [] : [frames]), height, width];
  const length = gridTokens(grid);
  return { layout, start: textFirst ? textTokens : 0, others: textTokens, length };
}

/** The options along the axes of a grid; windows are no longer than their axes. */
function axesOf(options: ResolvedGnaOptions, layout: readonly number[], causalModel: boolean): Neighborhood {
  const rank = layout.length;
  const entries = (name: 'window' | 'stride' | 'dilation' | 'causal'): number[] => {
    const values = options[name];
    if (values.length === 1) return perAxis(name, values[0] as number, rank);
    if (values.length === rank) return [...values];
    throw new RefusedError(
      `gna: ${name} has ${values.length} entries, and the model's tokens lie along ${rank} ${rank === 1 ? 'axis' : 'axes'}, [${layout}].`,
    );
  };
  const dilation = entries('dilation');
  const window = entries('window').map((size, axis) =>
    Math.min(size, Math.floor((layout[axis] as number) / (dilation[axis] as number))),
  );
  const stride = entries('stride').map((size, axis) => Math.min(size, window[axis] as number));
  const causal = entries('causal').map((flag) => causalModel || flag === 1);
  return { window, stride, dilation, causal };
}

/** Whether a call looks at all keys with plain scores, so that its tokens may stand in any order. */
function isPlain({ keys, options }: AttentionCall): boolean {
  const known = new Set(['scale', 'keyLength', 'causal', 'queryOffset']);
  const others = Object.entries(options).filter(([name, value]) => value !== undefined && !known.has(name));
  return others.length === 0 && !options.causal && keys.dtype !== 'paged' && typeof options.keyLength !== 'object';
}

/** The neighbourhood as a restriction of the model's own attention. */
function rowMajor({ layout, start, others }: SequenceTokens, axes: Neighborhood): AttentionRestriction {
  return {
    mask: {
      kind: 'neighbourhood',
      ...{ grid: layout, start, ...axes },
      ...(others > 0 ? { others: 'seen' } : {}),
    },
  };
}

/** Attention of tiles over the tiles that each sees; tokens stay where they are. */
function attendInTiles(
  { gpu, state }: Context,
  { q, keys, values, options }: AttentionCall,
  { layout, start, others }: SequenceTokens,
  axes: Neighborhood,
): AttentionResult {
  const tokens: PlannedTokens = {
    ...{ layout, start, batches: q.shape[0] as number },
    ...{ otherQueries: others, otherKeys: others },
  };
  const plan = state.plan(gpu, tokens, axes);
  const scale = options.scale === undefined ? {} : { scale: options.scale };
  return attention(q, keys as Tensor, values as Tensor, { ...plan.where, ...plan.tables, ...scale });
}
