import { ArgumentError, ShapeError } from '../errors.ts';
import { mathFunctions } from '../kernels/wgsl-math.ts';
import { Tensor } from '../tensor/tensor.ts';
import type { CallParts } from './call-parts.ts';
import type { AttentionShape } from './check-inputs.ts';
import { type CustomText, customExpression } from './custom-text.ts';
import { pairParameters } from './positions.ts';
import { stridedInput } from './strided-input.ts';

/**
 * What is done to a score after scaling and before the softmax, as `score_mod` in FlexAttention (arXiv 2412.05496). A call
 * applies its modifiers in the order of its list. Keys are named by position.
 *
 * `Values` is `Tensor` in calls of the engine, and an array of numbers in the f64 reference.
 */
export type ScoreModifier<Values = Tensor> =
  | BiasModifier<Values>
  | SoftCapModifier
  | AlibiModifier<Values>
  | RelativePositionModifier<Values>
  | SinksModifier<Values>
  | CustomModifier<Values>;

/** Adds a number per pair. */
export interface BiasModifier<Values> {
  readonly kind: 'bias';
  /**
   * f32 that broadcasts to [B, H, N, P], a strided view if need be: [N, P], [H, 1, P], ... P is at least the largest key
   * position + 1, or 1. In the reference always whole.
   */
  readonly bias: Values;
}

/** cap tanh(score / cap): scores stay within ±cap (Gemma 2, arXiv 2408.00118, section 2). */
export interface SoftCapModifier {
  readonly kind: 'softCap';
  readonly cap: number;
}

/** Adds -slope |query position - key position| (ALiBi, arXiv 2108.12409, section 3). */
export interface AlibiModifier<Values> {
  readonly kind: 'alibi';
  /** f32 [H]; see {@link alibiSlopes}. */
  readonly slopes: Values;
}

/** Adds a learned number per head and distance key position - query position, clipped to [-R, R] (arXiv 1803.02155, section 3.2). */
export interface RelativePositionModifier<Values> {
  readonly kind: 'relativePosition';
  /** f32 [H, 2 R + 1], for the distances from -R on. */
  readonly table: Values;
}

/**
 * A logit per query head that takes part in the normalisation but adds no value (gpt-oss, arXiv 2508.10925, section 2.2).
 * Log-sum-exp and row maximum include it; it is itself not modified. A row that sees no key then gives zeros and the sink
 * as its log-sum-exp. At most one per call.
 */
export interface SinksModifier<Values> {
  readonly kind: 'sinks';
  /** f32 [H]. */
  readonly logits: Values;
}

/** The new score as a WGSL expression of `score` and the pair. */
export interface CustomModifier<Values> extends CustomText<Values> {
  readonly kind: 'custom';
  /** The same in plain numbers, for the f64 reference. */
  readonly reference?: (
    score: number,
    where: { batch: number; head: number; query: number; queryPosition: number; keyPosition: number },
  ) => number;
}

/** The published slopes of ALiBi: 2^(-8 h / H) for a power of two, else interleaved from the next smaller and larger one. */
export function alibiSlopes(heads: number): number[] {
  const whole = 2 ** Math.floor(Math.log2(heads));
  const powers = (count: number, of: number) =>
    Array.from({ length: count }, (_, head) => 2 ** ((-8 * (head + 1)) / of));
  const odd = powers(2 * whole, 2 * whole).filter((_, head) => head % 2 === 0);
  return [...powers(whole, whole), ...odd.slice(0, heads - whole)];
}

/** What the tile loop needs to know of a call's modifiers. */
export interface ScoreText {
  /** Scores pass through the function `modified_score`. */
  readonly scored: boolean;
  /** There are sink logits, loaded by `load_sinks(head)`. */
  readonly sinks: boolean;
}

/** A modifier as WGSL. */
interface ModifierText {
  /** The modified score, as an expression of `score` and the pair. */
  readonly value: string;
  /** Its derivative by the score before, as an expression of the score behind; absent where it is 1. */
  readonly slope?: string;
}

/** Compiles modifiers; their functions, inputs and numbers go to `parts`. */
export function scoreText(
  modifiers: readonly ScoreModifier[] | undefined,
  shape: AttentionShape,
  parts: CallParts,
): ScoreText {
  const { steps, sinks } = compiledSteps(modifiers, shape, parts);
  if (steps.length === 0) return { scored: false, sinks };
  parts.define(`
fn modified_score(raw: f32, ${pairParameters}) -> f32 {
  var score = raw;
  ${steps.map(({ value }) => `score = ${value};`).join('\n  ')}
  return score;
}`);
  return { scored: true, sinks };
}

/**
 * As {@link scoreText}, for a pass that needs derivatives: where they are not 1 throughout, `sloped`, it defines
 * `score_and_slope`, which gives score and derivative by the raw one, in place of `modified_score`. Sinks have no part in it.
 *
 * @throws ArgumentError for custom modifiers, whose derivative is not known.
 */
export function scoreSlopeText(
  modifiers: readonly ScoreModifier[] | undefined,
  shape: AttentionShape,
  parts: CallParts,
): { readonly scored: boolean; readonly sloped: boolean } {
  const given = modifiers?.filter(({ kind }) => kind !== 'sinks');
  if (given?.some(({ kind }) => kind === 'custom')) {
    throw new ArgumentError('attentionBackward: scoreModifiers', 'custom', 'modifiers whose derivative is known');
  }
  if (!given?.some(({ kind }) => kind === 'softCap')) {
    return { scored: scoreText(given, shape, parts).scored, sloped: false };
  }
  const { steps } = compiledSteps(given, shape, parts);
  parts.define(`
fn score_and_slope(raw: f32, ${pairParameters}) -> vec2f {
  var score = raw;
  var slope = 1.0;
  ${steps.map(({ value, slope }) => `score = ${value};${slope ? `\n  slope *= ${slope};` : ''}`).join('\n  ')}
  return vec2f(score, slope);
}`);
  return { scored: true, sloped: true };
}

function compiledSteps(
  modifiers: readonly ScoreModifier[] | undefined,
  shape: AttentionShape,
  parts: CallParts,
): { readonly steps: readonly ModifierText[]; readonly sinks: boolean } {
  if (!modifiers || modifiers.length === 0) return { steps: [], sinks: false };
  const steps: ModifierText[] = [];
  let sinks = false;
  for (const modifier of modifiers) {
    if (modifier.kind === 'sinks') {
      if (sinks) throw new ArgumentError('attention: scoreModifiers', 'two modifiers sinks', 'one');
      checkNumbers('sinks logits', modifier.logits, [shape.heads]);
      parts.input('sinks', modifier.logits);
      sinks = true;
    } else steps.push(modifierText(modifier, shape, parts));
  }
  if (modifiers.some(({ kind }) => kind === 'softCap')) parts.define(mathFunctions('f32'));
  return { steps, sinks };
}

function modifierText(
  modifier: Exclude<ScoreModifier, SinksModifier<Tensor>>,
  shape: AttentionShape,
  parts: CallParts,
): ModifierText {
  const { heads } = shape;
  switch (modifier.kind) {
    case 'bias':
      return { value: `score + ${biasText(modifier.bias, shape, parts)}` };
    case 'softCap': {
      if (!(modifier.cap > 0)) throw new ArgumentError('attention: softCap cap', modifier.cap, 'a positive number');
      const cap = parts.number(parts.id('soft_cap'), 'f32', modifier.cap);
      return { value: `${cap} * stable_tanh(score / ${cap})`, slope: `1.0 - (score / ${cap}) * (score / ${cap})` };
    }
    case 'alibi': {
      checkNumbers('alibi slopes', modifier.slopes, [heads]);
      const load = parts.input(parts.id('alibi'), modifier.slopes);
      return { value: `score - ${load}(head) * f32(abs(query_position - key_position))` };
    }
    case 'relativePosition': {
      const length = modifier.table.shape[1] ?? 0;
      checkNumbers('relativePosition table', modifier.table, [heads, length]);
      if (length % 2 === 0)
        throw new ShapeError('attention', `relativePosition table [${heads}, ${length}]; the second axis is odd.`);
      const id = parts.id('relative');
      const load = parts.input(id, modifier.table);
      const reach = parts.number(`${id}_reach`, 'i32', (length - 1) / 2);
      const distance = `clamp(key_position - query_position, -${reach}, ${reach})`;
      return { value: `score + ${load}(head * u32(2 * ${reach} + 1) + u32(${distance} + ${reach}))` };
    }
    case 'custom':
      return { value: customExpression(modifier, parts.id('custom_score'), parts) };
    default:
      throw new ArgumentError(
        'attention: scoreModifiers kind',
        (modifier as { kind: unknown }).kind,
        'bias, softCap, alibi, relativePosition, sinks, custom',
      );
  }
}

function biasText(bias: Tensor, { batches, heads, queries }: AttentionShape, parts: CallParts): string {
  if (!(bias instanceof Tensor) || bias.dtype !== 'f32') {
    throw new ArgumentError('attention: bias', bias instanceof Tensor ? bias.dtype : bias, 'a tensor f32');
  }
  const view = bias.broadcastTo([batches, heads, queries, bias.shape.at(-1) ?? 1]);
  const id = parts.id('bias');
  const strides = view.shape[3] === 1 ? [...view.strides.slice(0, 3), 0] : view.strides;
  // One element of the last axis says where it starts; the strides lead to the others.
  const { range, start } = stridedInput(view.gpu, 'attention', 'bias', view.slice(3, 0, 1));
  const load = parts.input(id, view, range);
  const terms = ['batch', 'head', 'query', 'u32(key_position)'].map(
    (index, axis) => `${index} * ${parts.number(`${id}_stride${axis}`, 'u32', strides[axis] as number)}`,
  );
  return `${load}(${parts.number(`${id}_origin`, 'u32', start)} + ${terms.join(' + ')})`;
}

function checkNumbers(name: string, tensor: Tensor, shape: readonly number[]): void {
  if (!(tensor instanceof Tensor) || tensor.dtype !== 'f32') {
    throw new ArgumentError(`attention: ${name}`, tensor instanceof Tensor ? tensor.dtype : tensor, 'a tensor f32');
  }
  if (tensor.rank !== shape.length || tensor.shape.some((size, axis) => size !== shape[axis])) {
    throw new ShapeError('attention', `${name} is [${tensor.shape}]; it takes [${shape}].`);
  }
}
