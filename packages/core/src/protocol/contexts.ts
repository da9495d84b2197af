import type { KeyRows } from '../attention/paged/paged-rows.ts';
import type { AttentionStatistics, StatisticsRequest } from '../attention/statistics/types.ts';
import type { AttentionOptions, AttentionResult } from '../attention/types.ts';
import type { LayerCache } from '../cache/types.ts';
import type { Gpu } from '../device/gpu.ts';
import type { Tensor } from '../tensor/tensor.ts';
import type { DenoisingStep } from './denoising.ts';
import type { IndexStore } from './index-store.ts';
import type { LayerKind, ModelFacts } from './model-handle.ts';
import type { SequenceSpans } from './spans.ts';

/** What a pass is for: a prompt, one further token, a whole text of an encoder, or one denoising step. */
export type Phase = 'prefill' | 'decode' | 'encode' | 'denoise';

/** State that a method keeps for one run; a `dispose` method of it is called at the run's end. */
export type MethodState = object;

/** Where a layer stands in a run. */
export interface LayerContext<State extends MethodState = MethodState> {
  readonly gpu: Gpu;
  readonly model: ModelFacts;
  /** 0-based, over all layers. */
  readonly layer: number;
  readonly kind: LayerKind;
  /** 0-based among the global layers; methods count their layer options so. -1 in layers of another kind. */
  readonly globalLayer: number;
  readonly phase: Phase;
  /** The denoising step that this pass belongs to; undefined in other phases. */
  readonly step: DenoisingStep | undefined;
  /** 0 for the sequence itself, 1 and up for its companions. */
  readonly sequence: number;
  /** Samples of the batch, B, such as both branches of classifier-free guidance; their rows follow one another. 1 in language models. */
  readonly batch: number;
  /** Tokens of this sequence that the layer processes, N; of a batch those of one sample. */
  readonly queryLength: number;
  /** Keys that its attention reads, these tokens' included, M; where that is known on the device only, a bound. */
  readonly keyLength: number;
  /** Position in the text of the first token that this pass began with. */
  readonly start: number;
  /** Tokens of the text up to the end of this pass. */
  readonly seen: number;
  /** Whether no further tokens of the prompt follow this pass; a long prompt takes several. */
  readonly endsPrompt: boolean;
  /** Positions of the N tokens, u32 [N], once tokens were selected; undefined while they are `start`, `start + 1`, ... */
  readonly positions: Tensor | undefined;
  /** Which positions hold the system prompt, images, the question and the response; undefined where the model does not tell. */
  readonly spans: SequenceSpans | undefined;
  /**
   * Whether somebody looks at this sequence's probability rows here (`attention.pattern`). A method whose own attention weighs keys otherwise
   * then says how, by `next({ givenProbabilities })`.
   */
  readonly showsPattern: boolean;
  /** Lists that layers hand on; those of a pass are forgotten before the next. */
  readonly indices: IndexStore;
  readonly seed: number;
  readonly state: State;
}

/** Where one attention call stands. */
export type AttentionContext<State extends MethodState = MethodState> = LayerContext<State>;

/** Queries, keys and values of a layer's new tokens, of a batch those of all samples: N is B N then. */
export interface Qkv {
  /** [N, H, D] */
  readonly q: Tensor;
  /** [N, Hkv, D] */
  readonly k: Tensor;
  /** [N, Hkv, D] */
  readonly v: Tensor;
}

/** A change of queries, keys or values: what it leaves out stays. `input` is the layer's normed input, [N, hiddenSize]. */
export type QkvChange<State extends MethodState> = (
  context: AttentionContext<State>,
  qkv: Qkv,
  input: Tensor,
) => Partial<Qkv>;

/** Changes before and after the rotary embedding; in models without one, both come at the same place. */
export interface QkvTransform<State extends MethodState = MethodState> {
  readonly beforeRope?: QkvChange<State>;
  readonly afterRope?: QkvChange<State>;
}

/** Key/value heads by their ascending numbers, or as flags on the device: u32 [Hkv], 1 for those that are selected. */
export type HeadSelection = readonly number[] | Tensor;

/** The tensors and the model's own mask of one attention call. */
export interface AttentionCall {
  /** [B, H, N, D], position embedding applied. */
  readonly q: Tensor;
  /** [B, Hkv, capacity, D]; the first `keyLength` rows are valid and include the new tokens. */
  readonly keys: KeyRows;
  readonly values: KeyRows;
  /** Scale, mask and lengths as the model itself wants them. */
  readonly options: AttentionOptions;
}

/** Restrictions that a method adds to the model's own mask: a narrower window, a mask besides, one list of tokens or of blocks. */
export type AttentionRestriction = Pick<AttentionOptions, 'tokens' | 'blocks' | 'slidingWindow' | 'mask'>;

/**
 * What a method changes in one attention call: where it looks, what is done to scores, how keys are weighed, and the probabilities of
 * chosen rows where it has made its own (see `attentionProbabilities`). A `keyRowCounter` counts what the engine loads; slower, for proofs and accounts.
 */
export type AttentionChange = AttentionRestriction &
  Pick<AttentionOptions, 'scoreModifiers' | 'keyMultipliers' | 'normalizer' | 'givenProbabilities' | 'keyRowCounter'>;

/**
 * Statistics of a layer's attention. The log-sum-exp and the row maximum fall off on the way; each of the others takes a
 * second pass over q k^T.
 */
export interface AttentionNeeds extends StatisticsRequest {
  readonly logSumExp?: true;
  readonly rowMaximum?: true;
}

/** Output of a layer's attention, and what the method's `needs` asked for. */
export interface AttendedResult extends AttentionResult {
  /** By the names of the request; those of attention as the methods left it to the engine. */
  readonly statistics?: AttentionStatistics<StatisticsRequest>;
}

/** Outputs that `afterAttention` puts in place of those that attention gave, f32 [B, H, N, D] each. */
export interface AttentionOutputs {
  readonly output?: Tensor;
  /** By companion; undefined leaves one as it is. */
  readonly companions?: readonly (Tensor | undefined)[];
}

/** Runs the rest of the chain, at its end the engine. */
export type AttendNext = (change?: AttentionChange) => AttendedResult;

/** What attention of one layer and sequence gave. */
export interface AttentionOutcome extends AttentionCall, AttendedResult {
  /** The layer's cache, the new tokens included; undefined in models without one. */
  readonly cache: LayerCache | undefined;
}
