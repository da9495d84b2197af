import { ArgumentError, RefusedError, ShapeError } from '../errors.ts';
import { concatenate, copyInto } from '../ops/copy.ts';
import { sameShape } from '../tensor/shape.ts';
import type { Tensor } from '../tensor/tensor.ts';
import type { Phase } from './contexts.ts';
import type { ModelFacts } from './model-handle.ts';
import { nearNames } from './near-names.ts';
import type { SequenceRows } from './pass.ts';

/** Activations outside the layers, by their full names. N tokens in this pass; `logits` has one row or N. */
export const outerActivations = ['embedding', 'finalNorm', 'logits'] as const;

/**
 * Activations of a layer; `blocks.3.attention.output` is that of layer 3. Rows are tokens, N per pass:
 * `residual.pre`, `residual.mid` and `residual.post` [N, E]; `attention.input` (normed) [N, E]; `attention.q` [N, H, D],
 * `attention.k` and `attention.v` [N, Hkv, D] with positions embedded; `attention.pattern`, the probability rows, [N, H, M]; `attention.z`, the head outputs before the output
 * projection, [N, H, D]; `attention.gate`, what multiplies them in models with a gated output, [N, H, D] or [N, H, 1]; `attention.output` [N, E], as added to the residual stream; `mlp.input` (normed) [N, E];
 * `mlp.post`, behind the activation, [N, F]; `mlp.output` [N, E], as added.
 */
export const layerActivations = [
  'residual.pre',
  'attention.input',
  'attention.q',
  'attention.k',
  'attention.v',
  'attention.pattern',
  'attention.z',
  'attention.gate',
  'attention.output',
  'residual.mid',
  'mlp.input',
  'mlp.post',
  'mlp.output',
  'residual.post',
] as const;

export type OuterActivation = (typeof outerActivations)[number];
export type LayerActivation = (typeof layerActivations)[number];

/** Where an activation stands. */
export interface ActivationSite {
  /** Full name: `blocks.3.attention.output`. */
  readonly name: string;
  /** -1 outside the layers. */
  readonly layer: number;
  readonly phase: Phase;
  /** Position of the first token of this pass. */
  readonly start: number;
  /** Positions of the rows, u32 [N], once a method selected tokens; undefined while they are `start`, `start + 1`, ... */
  readonly positions: Tensor | undefined;
}

/** Sees an activation. The tensor lives until the layer ends: `gpu.keep(value.alias())` to have it longer. Record only, never await. */
export type Observer = (value: Tensor, site: ActivationSite) => void;

/** Sees an activation and may return another of the same shape, f32, which replaces it. */
// biome-ignore lint/suspicious/noConfusingVoidType: one that changes nothing returns nothing
export type Editor = (value: Tensor, site: ActivationSite) => Tensor | undefined | void;

/** A callback for some tokens only: it gets their rows, and is not called in a pass that holds none of them. */
export interface AtPositions<Callback> {
  /** Positions in the text; -1 is the last token of each pass, -2 the one before. */
  readonly positions: readonly number[];
  readonly callback: Callback;
}

/**
 * Callbacks by the name of an activation. In a name, `*` stands for anything without a dot and `**` for anything:
 * `blocks.*.residual.post`, `blocks.3.attention.*`, `**`.
 */
export type Observers = Readonly<Record<string, Observer | AtPositions<Observer>>>;
export type Editors = Readonly<Record<string, Editor | AtPositions<Editor>>>;

/** What a run does with named activations. */
export interface ActivationHooks {
  readonly observe?: Observers | undefined;
  readonly edit?: Editors | undefined;
}

interface Hook {
  readonly callback: Editor;
  readonly edits: boolean;
  readonly positions: readonly number[] | undefined;
}

/** Every name that a model offers, in the order in which a pass makes them. */
export function activationNames(facts: ModelFacts): string[] {
  const kinds = facts.activations ?? layerActivations.filter((kind) => kind !== 'attention.gate');
  const inLayers = facts.layerKinds.flatMap((_, layer) => kinds.map((kind) => fullName(layer, kind)));
  return ['embedding', ...inLayers, 'finalNorm', 'logits'];
}

/** Hooks of a run, found by layer and name without building strings in passes. */
export class Activations {
  readonly #hooks = new Map<string, readonly Hook[]>();

  /** @throws ArgumentError for a pattern that fits none of the model's activations. */
  constructor(facts: ModelFacts, { observe = {}, edit = {} }: ActivationHooks) {
    const names = activationNames(facts);
    const hooks = [
      // Edits first: what is observed is what the model goes on with.
      ...Object.entries(edit).map(([pattern, given]) => [pattern, hookOf(given, true)] as const),
      ...Object.entries(observe).map(([pattern, given]) => [pattern, hookOf(given, false)] as const),
    ];
    for (const [pattern, hook] of hooks) {
      const expression = patternExpression(pattern);
      const matching = names.filter((name) => expression.test(name));
      if (matching.length === 0) {
        const near = nearNames(pattern, names).join(', ');
        throw new ArgumentError(
          'activation name',
          pattern,
          near ? `near names: ${near}` : `names such as ${names.slice(1, 4).join(', ')}`,
        );
      }
      for (const name of matching) this.#hooks.set(name, [...(this.#hooks.get(name) ?? []), hook]);
    }
  }

  /** Whether anybody looks at this activation. */
  has(layer: number, kind: LayerActivation | OuterActivation): boolean {
    return this.#hooks.has(fullName(layer, kind));
  }

  /** Rows of a pass that somebody looks at: all where a hook has no positions. */
  rowsWatched(layer: number, kind: LayerActivation, rows: SequenceRows): readonly number[] {
    const name = fullName(layer, kind);
    const hooks = this.#hooks.get(name) ?? [];
    if (hooks.some(({ positions }) => !positions)) return Array.from({ length: rows.count }, (_, row) => row);
    return [...new Set(hooks.flatMap(({ positions = [] }) => rowsAt(positions, name, rows)))].sort((a, b) => a - b);
  }

  /**
   * The activation as edited.
   * @param value Rows of this sequence; behind them may stand those of companions, which stay as they are.
   * @param held Which rows of the pass `value` holds. Default: all.
   */
  apply(
    layer: number,
    kind: LayerActivation | OuterActivation,
    value: Tensor,
    rows: SequenceRows,
    phase: Phase,
    held?: readonly number[],
  ): Tensor {
    const name = fullName(layer, kind);
    const hooks = this.#hooks.get(name);
    if (!hooks) return value;
    const all = value.shape[0] as number;
    const count = held?.length ?? rows.count;
    const site = { name, layer, phase, start: rows.start, positions: rows.positions };
    const original = count === all ? value : value.slice(0, 0, count);
    const own = hooks.reduce((current, hook) => runHook(hook, current, site, rows, held), original);
    if (own === original) return value;
    return count === all ? own : concatenate([own, value.slice(0, count, all)]);
  }
}

function fullName(layer: number, kind: string): string {
  return layer < 0 ? kind : `blocks.${layer}.${kind}`;
}

function hookOf(given: Editor | AtPositions<Editor>, edits: boolean): Hook {
  return typeof given === 'function'
    ? { callback: given, edits, positions: undefined }
    : { callback: given.callback, edits, positions: given.positions };
}

function patternExpression(pattern: string): RegExp {
  const parts = pattern.split(/(\*\*|\*)/).map((part) => {
    if (part === '**') return '.*';
    return part === '*' ? '[^.]*' : part.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&');
  });
  return new RegExp(`^${parts.join('')}$`);
}

function runHook(
  hook: Hook,
  value: Tensor,
  site: ActivationSite,
  rows: SequenceRows,
  held: readonly number[] | undefined,
): Tensor {
  if (!hook.positions) {
    const result = hook.callback(value, site);
    return hook.edits ? checked(result, value, site) : value;
  }
  const wanted = rowsAt(hook.positions, site.name, rows)
    .map((row) => held?.indexOf(row) ?? row)
    .filter((row) => row >= 0);
  if (wanted.length === 0) return value;
  const slices = wanted.map((row) => value.slice(0, row, row + 1));
  const selected = slices.length === 1 ? (slices[0] as Tensor) : concatenate(slices);
  const result = hook.callback(selected, site);
  if (!hook.edits || !result) return value;
  const replacement = checked(result, selected, site);
  const edited = value.gpu.empty(value.shape);
  copyInto(edited, value);
  wanted.forEach((row, index) => {
    copyInto(edited.slice(0, row, row + 1), replacement.slice(0, index, index + 1));
  });
  return edited;
}

/** The rows of a pass that hold some positions. */
function rowsAt(
  positions: readonly number[],
  name: string,
  { start, count, positions: selected }: SequenceRows,
): number[] {
  return positions.flatMap((position) => {
    if (position >= 0 && selected) {
      throw new RefusedError(
        `${name}: a method selects tokens, so the row of position ${position} is known on the device only; use negative positions.`,
      );
    }
    const row = position < 0 ? count + position : position - start;
    return row >= 0 && row < count ? [row] : [];
  });
}

// biome-ignore lint/suspicious/noConfusingVoidType: as Editor
function checked(result: Tensor | undefined | void, value: Tensor, site: ActivationSite): Tensor {
  if (!result) return value;
  if (!sameShape(result.shape, value.shape) || result.dtype !== 'f32') {
    throw new ShapeError(
      `edit of ${site.name}`,
      `gave ${result.dtype}[${result.shape}]; it takes f32[${value.shape}].`,
    );
  }
  // The editor's tensor may outlive the pass; the pass frees what it holds.
  return result === value ? value : result.alias();
}
