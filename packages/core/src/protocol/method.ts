import type { AttentionOptions } from '../attention/types.ts';
import type { KvCache } from '../cache/kv-cache.ts';
import type { Gpu } from '../device/gpu.ts';
import type { Tensor } from '../tensor/tensor.ts';
import type { IndexStore } from './index-store.ts';
import type { LayerKind, ModelFacts, ModelHandle } from './model-handle.ts';

export type Phase = 'prefill' | 'decode';

/** What a method must find in a model; checked when a run starts. */
export interface Requirements {
  /** The model's tokens see only earlier ones (`causal`), or all (`bidirectional`). */
  readonly direction?: 'causal' | 'bidirectional';
  /** At least this many layers whose keys reach over the whole context. */
  readonly globalLayers?: number;
  /** Any further condition: a reason to refuse, or undefined. */
  readonly check?: (facts: ModelFacts) => string | undefined;
}

/** State that a method keeps for one run; a `dispose` method of it is called at the run's end. */
export type MethodState = object;

/** Where one attention call stands. */
export interface AttentionContext<State extends MethodState = MethodState> {
  readonly gpu: Gpu;
  readonly model: ModelFacts;
  /** 0-based, over all layers. */
  readonly layer: number;
  readonly kind: LayerKind;
  /** 0-based among the global layers; methods count their layer options so. -1 in layers of another kind. */
  readonly globalLayer: number;
  readonly phase: Phase;
  /** Tokens that this pass adds, N. */
  readonly queryLength: number;
  /** Tokens in the cache, these included, M. */
  readonly keyLength: number;
  /** Token lists that layers hand on; emptied before every pass. */
  readonly indices: IndexStore;
  readonly state: State;
}

/** The tensors and the model's own mask of one attention call. */
export interface AttentionCall {
  /** [B, H, N, D], RoPE applied. */
  readonly q: Tensor;
  /** [B, Hkv, capacity, D]; the first `keyLength` rows are valid and include the new tokens. */
  readonly keys: Tensor;
  readonly values: Tensor;
  /** Scale, mask and lengths as the model itself wants them. */
  readonly options: AttentionOptions;
}

/** Restrictions that a method adds to the model's own mask. */
export type AttentionRestriction = Pick<AttentionOptions, 'tokens' | 'slidingWindow'>;

/** Runs the rest of the chain, at its end the engine. Returns [B, H, N, D]. */
export type AttendNext = (restriction?: AttentionRestriction) => Tensor;

/** Where a generation stands between two tokens. */
export interface StepContext<State extends MethodState = MethodState> {
  readonly gpu: Gpu;
  readonly model: ModelHandle;
  readonly cache: KvCache;
  /** Ids of the tokens in the cache. */
  readonly ids: readonly number[];
  /** Tokens decoded into the cache since the run started. */
  readonly decoded: number;
  readonly state: State;
}

/**
 * A paper's idea as a value that is passed to a call. It fills only the seams that it needs; everything else stays the
 * model's. The same value may serve many runs: what changes during a run lives in its state.
 */
// biome-ignore lint/suspicious/noExplicitAny: a list of methods holds methods with different states
export interface Method<State extends MethodState = any> {
  /** The package's slug. */
  readonly name: string;
  /** Options as given by the user, defaults filled in; for reports. */
  readonly options: Readonly<Record<string, unknown>>;
  /** Phases in which it changes anything. A prefill may be shared with the dense run when `prefill` is not among them. */
  readonly phases: readonly Phase[];
  readonly requires?: Requirements;
  /** State of one run. Here a method may calibrate by running the model; such a nested run has its own state. */
  createState?(model: ModelHandle): State | Promise<State>;
  /** Wraps attention of one layer, like middleware: call `next` with restrictions, or compute something else. */
  attend?(context: AttentionContext<State>, call: AttentionCall, next: AttendNext): Tensor;
  /** Between two tokens of a generation. */
  step?(context: StepContext<State>): void | Promise<void>;
}
