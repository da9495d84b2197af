import type { KvCache } from '../cache/kv-cache.ts';
import type { CacheOptions } from '../cache/paged/precision.ts';
import type { Gpu } from '../device/gpu.ts';
import type { Tensor } from '../tensor/tensor.ts';
import type { ActivationHooks, LayerActivation } from './activations.ts';
import type { Phase } from './contexts.ts';
import type { TokenGrid } from './denoising.ts';
import type { EncodedPrompt, PromptFacts } from './encoded-prompt.ts';
import type { ImagePrompt } from './image-prompt.ts';
import type { Method } from './method.ts';
import type { ModelFeature } from './requirements.ts';

/** What a layer's token mixer is. Methods that select positions act on `global` layers only. */
export type LayerKind = 'global' | 'window' | 'linear' | 'recurrent';

/** Facts about a model that methods may rely on. */
export interface ModelFacts {
  /** The name or path it was loaded by. */
  readonly name: string;
  /** Such as `llama`. */
  readonly architecture: string;
  readonly layers: number;
  readonly layerKinds: readonly LayerKind[];
  /** Query heads, H. */
  readonly heads: number;
  /** Key/value heads, Hkv. */
  readonly kvHeads: number;
  /** D. */
  readonly headSize: number;
  readonly hiddenSize: number;
  readonly vocabularySize: number;
  /** Most tokens the model was trained for. */
  readonly contextLength: number;
  /** Whether a token sees only earlier ones. */
  readonly causal: boolean;
  /** Default: prefill and decode where causal, else encode. */
  readonly phases?: readonly Phase[];
  /** Steps of a denoising run. */
  readonly denoisingSteps?: number;
  /** How tokens of images or videos lie: in the facts of a run, at its present size. */
  readonly tokenGrid?: TokenGrid;
  readonly features?: readonly ModelFeature[];
  /** Named activations that its layers have. Default: all but `attention.gate`. */
  readonly activations?: readonly LayerActivation[];
}

export interface ChatMessage {
  readonly role: 'system' | 'user' | 'assistant' | (string & {});
  readonly content: string;
}

/** The part of a tokenizer that methods and the bench need. */
export interface TokenizerHandle {
  readonly vocabularySize: number;
  /** Ids that end a generation. */
  readonly endOfTextIds: readonly number[];
  encode(text: string, options?: { readonly addSpecialTokens?: boolean }): number[];
  decode(ids: readonly number[], options?: { readonly skipSpecialTokens?: boolean }): string;
  applyChatTemplate(messages: readonly ChatMessage[], options?: { readonly addGenerationPrompt?: boolean }): string;
}

/**
 * Text as it is, a conversation (rendered by the model's chat template), token ids, an earlier prefill, an encoded prompt (which stays
 * the caller's), or images with text for models that see.
 */
export type Prompt = string | readonly ChatMessage[] | readonly number[] | PromptCache | EncodedPrompt | ImagePrompt;

/** Options of everything that runs the model. */
export interface RunOptions extends ActivationHooks {
  /** The method that acts in this run, or several, which compose from left to right; without it the model runs dense. */
  readonly method?: Method | readonly Method[] | undefined;
  /** How the caches that the run makes keep tokens: their precision. Default: all in f32. */
  readonly cache?: CacheOptions | undefined;
  /** For everything that is drawn at random. Default 0. */
  readonly seed?: number;
  readonly signal?: AbortSignal | undefined;
  /** Called with the share of the work that is done, in [0, 1]. */
  readonly onProgress?: ((share: number) => void) | undefined;
}

export interface PrefillOptions extends RunOptions {
  /** Tokens to leave room for behind the prompt; the cache grows beyond it when it must. Default 256. */
  readonly reserve?: number;
}

export interface GenerateOptions extends RunOptions {
  /** Default 128. */
  readonly maxTokens?: number;
  /** 0 (default) is greedy. */
  readonly temperature?: number;
  /** Keeps the k most probable tokens; 0 (default) keeps all. */
  readonly topK?: number;
  /** Keeps the smallest set of tokens with at least this mass; default 1. */
  readonly topP?: number;
  /** Over 1 makes tokens that occurred less probable; default 1. */
  readonly repetitionPenalty?: number;
  /** Generation ends before the first of these texts. */
  readonly stop?: string | readonly string[];
  /** Go on after an end-of-text token; for measurements. Default false. */
  readonly ignoreEndOfText?: boolean;
  /** Log-probabilities of each token and of this many most probable ones (0: of the token alone). Default: none. */
  readonly logprobs?: number;
}

/** Natural logarithms of probabilities under the model itself: before penalty, temperature, top-k and top-p. */
export interface TokenLogprobs {
  /** Of the token that was chosen. */
  readonly logprob: number;
  /** The most probable tokens, in falling order. */
  readonly top: readonly { readonly id: number; readonly logprob: number }[];
}

export type FinishReason = 'endOfText' | 'stop' | 'maxTokens';

/** What one step of a generation adds. */
export interface GeneratedPiece {
  /** May be empty while a character or a possible stop text is incomplete. */
  readonly text: string;
  /** Token ids of this piece. */
  readonly ids: readonly number[];
  /** Set on the last piece. */
  readonly finishReason?: FinishReason;
  /** Where they were asked for. */
  readonly logprobs?: TokenLogprobs;
}

/** Input of one `forward`: ids of consecutive tokens, on the host or as u32 [N] on the GPU. */
export type TokenInput = readonly number[] | Tensor;

/** A sequence that runs in lockstep with another one. */
export interface ForwardCompanion {
  /** Tokens behind those in its cache, as many as there are or fewer. */
  readonly tokens: TokenInput;
  readonly cache: KvCache;
  /** Whether the run's methods act on it too. Default false. */
  readonly withMethods?: boolean;
  readonly features?: RowFeatures | undefined;
}

/** Rows that stand in place of the embeddings of some tokens of a pass. */
export interface RowFeatures {
  /** Numbers of the tokens in the pass, ascending: [P]. */
  readonly rows: readonly number[];
  /** f32 [P, hiddenSize] */
  readonly values: Tensor;
}

export interface ForwardOptions extends ActivationHooks {
  /** Tokens are appended to this cache; without one, a temporary cache serves the call. */
  readonly cache?: KvCache | undefined;
  /** The run whose method acts; see `MethodRun`. */
  readonly run?: import('./method-run.ts').MethodRun | undefined;
  /** Rows for which logits are computed. Default `last`. */
  readonly logits?: 'last' | 'all' | 'none';
  /** Layers to run, from the first on; the final norm and the head follow. Default: all. */
  readonly layers?: number;
  readonly companions?: readonly ForwardCompanion[];
  /** What stands in place of the embeddings of some of the tokens. */
  readonly features?: RowFeatures | undefined;
}

export interface ForwardResult {
  /** Output of the last layer after the final norm: f32 [N, hiddenSize], fewer rows where a method selects tokens. */
  readonly hidden: Tensor;
  /** f32 [1 or N, vocabularySize], as the run's methods leave those of the newest token. */
  readonly logits: Tensor | undefined;
}

/**
 * What every architecture implements and methods, bench and analysis see. Models are never patched: a method is passed
 * to a call.
 */
export interface ModelHandle {
  readonly gpu: Gpu;
  readonly facts: ModelFacts;
  readonly tokenizer: TokenizerHandle;
  /** Token ids of a prompt, chat template applied. */
  encodePrompt(prompt: string | readonly ChatMessage[] | readonly number[]): number[];
  /** A cache without tokens. With a run, its methods may change what layers keep. */
  createCache(capacity: number, run?: import('./method-run.ts').MethodRun): KvCache;
  /** One pass over consecutive tokens. Records only: nothing is awaited. The caller disposes the result. */
  forward(tokens: TokenInput, options?: ForwardOptions): ForwardResult;
  /** Logits of rows of the residual stream, f32 [N, hiddenSize]: final norm and head. f32 [N, vocabularySize]. */
  unembed(residual: Tensor): Tensor;
  /** Runs a prompt and returns its cache, which `generate` accepts and which may be forked. */
  prefill(prompt: Prompt, options?: PrefillOptions): Promise<PromptCache>;
  /**
   * A prompt as the model runs it, images seen and placed, spans known. The caller disposes it.
   * @throws RefusedError for images where the model sees none
   */
  encode(prompt: Exclude<Prompt, PromptCache>): Promise<EncodedPrompt>;
  /** Logits of all positions, f32 [N, vocabularySize]. The caller disposes the tensor. */
  logits(prompt: readonly number[] | EncodedPrompt, options?: RunOptions): Promise<Tensor>;
  /** Streams a continuation. */
  generate(prompt: Prompt, options?: GenerateOptions): AsyncGenerator<GeneratedPiece, void, void>;
  dispose(): void;
}

/** A prompt that has been run: its ids, keys and values, and the logits of the token to come. */
export class PromptCache {
  /** Ids of the tokens in the cache. */
  readonly ids: readonly number[];
  readonly kv: KvCache;
  /** Logits after the last token, f32 [1, vocabularySize]. */
  readonly nextLogits: Tensor;

  constructor(ids: readonly number[], kv: KvCache, nextLogits: Tensor) {
    this.ids = ids;
    this.kv = kv;
    this.nextLogits = nextLogits;
  }

  /** What is known of the prompt. */
  get facts(): PromptFacts | undefined {
    return this.kv.prompt;
  }

  /** Tokens in the cache. */
  get length(): number {
    return this.ids.length;
  }

  /** An independent continuation of the same prompt; keys and values are shared until one of them writes. */
  fork(): PromptCache {
    return new PromptCache(this.ids, this.kv.fork(), this.kv.gpu.keep(this.nextLogits.alias()));
  }

  dispose(): void {
    this.kv.dispose();
    this.nextLogits.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}
