import {
  type AttentionCall,
  type AttentionContext,
  type AttentionOptions,
  type LayerContext,
  type Method,
  RefusedError,
  type TokenStepContext,
} from '@saccade/core';
import { importantTokens, makeProbes, normalizedScores, probeScores } from './importance.ts';
import { compresses, compressRows } from './mixed-cache.ts';
import { type ResolvedZipvlOptions, resolveOptions, type ZipvlOptions } from './options.ts';
import { sparsePrefillAttention } from './sparse-prefill.ts';
import { ZipvlState } from './state.ts';

type Context = LayerContext<ZipvlState>;

/**
 * ZipVL (arXiv 2410.08584): each layer finds, from the attention of a few probe queries, how many tokens of the prompt it takes to hold most of
 * the attention; attention of the prompt runs among these alone, and the cache keeps them at more bits than the others. Nothing is trained.
 *
 * @throws OptionError for an option out of its range.
 */
export function zipvl(options: ZipvlOptions = {}): Method<ZipvlState> {
  const resolved = resolveOptions(options);
  const { tau, recompressEvery } = resolved;
  const changesCache = compresses(resolved);
  const due = ({ globalLayer, phase, seen, state }: Context) =>
    phase === 'decode' && changesCache && globalLayer >= 0 && isDue(state, globalLayer, seen, recompressEvery);
  return {
    name: 'zipvl',
    options: resolved,
    phases: ['prefill', 'decode'],
    requires: {
      direction: 'causal',
      globalLayers: 1,
      check: ({ headSize }) =>
        changesCache && headSize % 16 !== 0
          ? `its heads have ${headSize} channels, and pages of fewer bits need a multiple of 16`
          : undefined,
    },
    wholePrompt: true,
    listsKeys: true,
    evicts: changesCache,

    createState: () => new ZipvlState(),

    ...(changesCache
      ? { createCache: ({ globalLayer }) => (globalLayer < 0 ? undefined : ({ kind: 'paged' } as const)) }
      : {}),

    needs: (context) => (due(context) && tau < 1 ? { keyMass: { per: 'allHeads' } } : undefined),

    attend(context, call, next) {
      const { gpu, globalLayer, phase, keyLength, queryLength, state, seen } = context;
      if (globalLayer < 0) return next();
      const layer = state.layer(globalLayer);
      if (phase === 'decode') {
        const result = next();
        if (!due(context)) return result;
        const tokens = seen - layer.compressed;
        const mass = result.statistics?.keyMass?.reshape([-1]).slice(0, keyLength - tokens, keyLength);
        if (tau < 1 && !mass)
          throw new RefusedError('zipvl ranks tokens by attention’s probabilities, which another method replaces.');
        // One query sees all of these tokens: normalising changes nothing.
        const flags = mass && gpu.keep(importantTokens(mass, mass, tau));
        layer.pending = { tokens, flags, seen };
        return result;
      }
      // Prompts that go on from a cache stay dense.
      if (keyLength !== queryLength || layer.pending || layer.rows) return next();
      if (tau === 1) {
        layer.pending = { tokens: keyLength, flags: undefined, seen };
        return next();
      }
      const where = ownScores(call);
      const probes = probesOf(context, resolved);
      const accumulated = probeScores(call.q, call.keys, call.values, probes, where);
      const flags = gpu.keep(importantTokens(accumulated, normalizedScores(accumulated, probes), tau, probes.forced));
      layer.pending = { tokens: keyLength, flags, seen };
      return { output: sparsePrefillAttention(call.q, call.keys, call.values, flags, where) };
    },

    async step(context) {
      if (context.phase === 'decode') await compressPending(context, resolved);
    },
  };
}

function isDue(state: ZipvlState, globalLayer: number, seen: number, every: number): boolean {
  const { rows, compressed, pending } = state.layer(globalLayer);
  return rows !== undefined && pending === undefined && seen - compressed >= every;
}

function probesOf({ gpu, queryLength, seed, state }: AttentionContext<ZipvlState>, options: ResolvedZipvlOptions) {
  state.probes ??= makeProbes(gpu, queryLength, {
    recent: options.recentProbes,
    random: options.randomProbes,
    seed,
  });
  return state.probes;
}

/** What a prompt's attention passes on. @throws RefusedError for what gathered tokens cannot follow */
function ownScores({ options }: AttentionCall): Pick<AttentionOptions, 'scale' | 'scoreModifiers' | 'keyRowCounter'> {
  const placed = [
    'tokens',
    'blocks',
    'mask',
    'slidingWindow',
    'keyMultipliers',
    'normalizer',
    'givenProbabilities',
  ] as const;
  const found = placed.find((name) => options[name] !== undefined);
  if (found)
    throw new RefusedError(`zipvl gathers the tokens of a prompt, which attention with ${found} cannot follow.`);
  const { scale, scoreModifiers, keyRowCounter } = options;
  const byPosition = scoreModifiers?.find(({ kind }) => kind !== 'softCap' && kind !== 'sinks');
  if (byPosition) {
    throw new RefusedError(
      `zipvl gathers the tokens of a prompt, where scores with ${byPosition.kind} would count other distances.`,
    );
  }
  return {
    ...(scale === undefined ? {} : { scale }),
    ...(scoreModifiers ? { scoreModifiers } : {}),
    ...(keyRowCounter ? { keyRowCounter } : {}),
  };
}

/** Reads what the last pass chose, of all layers at once, and compresses their caches. */
async function compressPending(
  { gpu, cache, model, state }: TokenStepContext<ZipvlState>,
  options: ResolvedZipvlOptions,
) {
  const { facts } = model;
  const waiting = facts.layerKinds
    .flatMap((kind, index) => (kind === 'global' ? [index] : []))
    .map((index, globalLayer) => ({ index, layer: state.layer(globalLayer) }))
    .filter(({ layer }) => layer.pending);
  if (waiting.length === 0) return;
  state.probes?.dispose();
  state.probes = undefined;
  const given = waiting.flatMap(({ layer }) => layer.pending?.flags ?? []);
  const read = given.length > 0 ? await gpu.read(given) : [];
  if (given.length > 0) state.readbacks++;
  for (const { index, layer } of waiting) {
    const { tokens, flags, seen } = layer.pending as NonNullable<typeof layer.pending>;
    const own = flags ? (read[given.indexOf(flags)] as ArrayLike<number>) : new Uint8Array(tokens).fill(1);
    if (!layer.rows) {
      layer.important = Uint32Array.from(Array.from({ length: tokens }, (_, row) => row).filter((row) => own[row]));
      layer.ratio = layer.important.length / tokens;
    }
    if (compresses(options)) {
      const before = layer.rows ?? { important: 0, other: 0 };
      layer.rows = compressRows(gpu, cache.layer(index), before, own, options, facts.kvHeads);
    } else layer.rows ??= { important: tokens, other: 0 };
    layer.compressed = seen;
    layer.pending = undefined;
    flags?.dispose();
  }
}
