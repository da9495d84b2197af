import type { AttentionResult } from '../attention/types.ts';
import type { KvCache } from '../cache/kv-cache.ts';
import type { LayerCacheSpec } from '../cache/types.ts';
import type { Gpu } from '../device/gpu.ts';
import type { Tensor } from '../tensor/tensor.ts';
import type { Companion, CompanionContext } from './companions.ts';
import type {
  AttendNext,
  AttentionCall,
  AttentionContext,
  AttentionNeeds,
  AttentionOutcome,
  AttentionOutputs,
  AttentionRestriction,
  HeadSelection,
  LayerContext,
  MethodState,
  Phase,
  QkvTransform,
} from './contexts.ts';
import type { DenoisingStep } from './denoising.ts';
import type { LayerKind, ModelFacts, ModelHandle } from './model-handle.ts';
import type { Requirements } from './requirements.ts';
import type { DenoisingSchedule } from './schedule.ts';
import type { SequenceSpans } from './spans.ts';

/** The layer whose cache is made. */
export interface CacheContext<State extends MethodState = MethodState> {
  readonly model: ModelFacts;
  readonly layer: number;
  readonly kind: LayerKind;
  /** 0-based among the global layers, or -1. */
  readonly globalLayer: number;
  /** What is kept without the method: what the model keeps, in the precision that the run was asked for. */
  readonly spec: LayerCacheSpec;
  readonly state: State;
}

/** What a run was started with; for calibration in `createState`. */
export interface RunSettings {
  /** For everything that a method draws at random. Default 0. */
  readonly seed: number;
  readonly signal?: AbortSignal | undefined;
}

/** Where a generation stands between two tokens. */
export interface TokenStepContext<State extends MethodState = MethodState> {
  readonly phase: 'decode';
  readonly gpu: Gpu;
  readonly model: ModelHandle;
  readonly cache: KvCache;
  /** As in {@link LayerContext}. */
  readonly spans: SequenceSpans | undefined;
  /** Ids of the tokens in the cache. */
  readonly ids: readonly number[];
  /** Tokens decoded into the cache since the run started. */
  readonly decoded: number;
  readonly state: State;
}

/** Where a denoising run stands between two steps. */
export interface DenoisingStepContext<State extends MethodState = MethodState> {
  readonly phase: 'denoise';
  readonly gpu: Gpu;
  readonly model: ModelHandle;
  /** The step that comes next. */
  readonly step: DenoisingStep;
  /** What that step starts from: noisy latents f32 [B, C, ..., height, width], or token ids u32 of a masked language model. */
  readonly sample: Tensor;
  readonly state: State;
}

/** Where a run stands between two steps; `phase` tells the kinds apart. */
export type StepContext<State extends MethodState = MethodState> =
  | TokenStepContext<State>
  | DenoisingStepContext<State>;

/** A step as the model that runs it tells it; the run adds spans and the state of each method. */
export type StepPlace = Omit<TokenStepContext, 'state' | 'spans'> | Omit<DenoisingStepContext, 'state'>;

/** Where logits are made. */
export interface LogitsContext<State extends MethodState = MethodState> {
  readonly gpu: Gpu;
  readonly model: ModelFacts;
  readonly phase: Phase;
  /** Logits of the companions' newest tokens, f32 [1, vocabularySize] each. */
  readonly companions: readonly Tensor[];
  readonly state: State;
}

/** Tokens by their row among those that the layer gives, ascending: u32 [K] on the device, or numbers. */
export type TokenSelection = Tensor | readonly number[];

/** Runs the rest of the chain, at its end the layer. With `rows`, x holds only these rows of the layer's input. */
export type LayerNext = (x: Tensor, rows?: TokenSelection) => Tensor;

/**
 * A paper's idea as a value that is passed to a call. It fills only the seams that it needs; everything else stays the
 * model's. The same value may serve many runs: what changes during a run lives in its state.
 *
 * Several methods compose from left to right: the first is the outermost of the wrapping seams (`layer`, `attend`) and
 * acts first in the others. `createCache`, `mask`, `selectTokens`, `selectHeads` and `schedule` take one owner per run; of `companions` one may give any.
 */
// biome-ignore lint/suspicious/noExplicitAny: a list of methods holds methods with different states
export interface Method<State extends MethodState = any> {
  /** The package's slug. */
  readonly name: string;
  /** Options as given by the user, defaults filled in; for reports. */
  readonly options: Readonly<Record<string, unknown>>;
  /** Phases in which its seams are called. A prefill may be shared with the dense run when `prefill` is not among them. */
  readonly phases: readonly Phase[];
  readonly requires?: Requirements;
  /** Whether it removes rows from caches, which some methods cannot bear (`requires.wholeCache`). */
  readonly evicts?: boolean;
  /** Whether its `attend` restricts layers to lists of keys. A layer follows one list: two such methods of one phase are refused. */
  readonly listsKeys?: boolean;
  /**
   * Whether its seams record the same work in every decode step, so that a step can be recorded once and run again (`gpu.plan()`): what they do may depend on
   * lengths as far as those stand on the device, in `call.options`. `context.keyLength` is a bound then, and `start`, `seen` and the response among
   * `spans` are those of the step that was recorded. Nothing may be read, uploaded or kept beyond the step. Default: no, and each step is recorded.
   */
  readonly steadySteps?: boolean;
  /** The prompt runs in one pass, however long, so that each layer is seen once with all of it. Takes more memory. */
  readonly wholePrompt?: boolean;
  /** State of one run. Here a method may calibrate by running the model; such a nested run has its own state. */
  createState?(model: ModelHandle, settings: RunSettings): State | Promise<State>;
  /** What a layer keeps of the tokens, in place of what the model keeps. Asked when a cache is made for the run. */
  createCache?(context: CacheContext<State>): LayerCacheSpec | undefined;
  /** Sequences that run with this one, layer by layer. Asked once, before the prompt runs. */
  companions?(context: CompanionContext<State>): readonly Companion[];
  /** Wraps one layer: `next(x)` runs it, at most once. x is f32 [N, hiddenSize], rows of companions behind the own ones, of a batch [B N, hiddenSize]; so is what it returns. */
  layer?(context: LayerContext<State>, x: Tensor, next: LayerNext): Tensor;
  /** Changes queries, keys or values of one layer before they are cached and attended. */
  readonly transformQKV?: QkvTransform<State>;
  /** What a layer's queries may see, declared; intersected with the model's own mask. */
  mask?(context: AttentionContext<State>, call: AttentionCall): AttentionRestriction | undefined;
  /** Statistics of this layer's attention that `attend` and `afterAttention` find in its result; without it only the output is computed. */
  needs?(context: AttentionContext<State>): AttentionNeeds | undefined;
  /** Wraps attention of one layer: call `next` with changes (narrower, other scores, other weights), or compute something else. */
  attend?(context: AttentionContext<State>, call: AttentionCall, next: AttendNext): AttentionResult;
  /**
   * After attention of all sequences, before the output projection. A tensor [B, H, N, D] that it returns replaces the output;
   * to replace those of companions too it returns {@link AttentionOutputs}.
   */
  afterAttention?(
    context: AttentionContext<State>,
    outcome: AttentionOutcome,
    companions: readonly AttentionOutcome[],
    // biome-ignore lint/suspicious/noConfusingVoidType: one that records returns nothing
  ): Tensor | AttentionOutputs | undefined | void;
  /** Key/value heads that this layer attends with, together with the query heads that read them; the others load no key and give zeros. */
  selectHeads?(context: AttentionContext<State>): HeadSelection | undefined;
  /** After a layer, given its output: the tokens that the following layers still process. Must hold the newest. */
  selectTokens?(context: LayerContext<State>, x: Tensor): TokenSelection | undefined;
  /** Between two tokens of a generation, or two steps of a denoising run; called in the method's phases. */
  step?(context: StepContext<State>): void | Promise<void>;
  /** Changes the model's logits, f32 [rows, vocabularySize]; the next token is taken from the last row. */
  processLogits?(context: LogitsContext<State>, logits: Tensor): Tensor;
  /** Changes the stages of a denoising run. */
  schedule?(schedule: DenoisingSchedule, model: ModelFacts): DenoisingSchedule;
}
