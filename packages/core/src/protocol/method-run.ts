import type { AttentionOptions, AttentionResult } from '../attention/types.ts';
import type { KvCache } from '../cache/kv-cache.ts';
import { type CacheOptions, checkCacheOptions } from '../cache/paged/precision.ts';
import type { CacheDtype, LayerCacheSpec } from '../cache/types.ts';
import type { Gpu } from '../device/gpu.ts';
import { ArgumentError, RefusedError } from '../errors.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { type ActivationHooks, Activations, type LayerActivation, type OuterActivation } from './activations.ts';
import type { CompanionSequence } from './companions.ts';
import type { AttentionCall, MethodState, Phase, Qkv } from './contexts.ts';
import type { DenoisingStep, TokenGrid } from './denoising.ts';
import type { EncodedPrompt } from './encoded-prompt.ts';
import type { Method, RunSettings, StepContext, StepPlace } from './method.ts';
import type { ModelFacts, ModelHandle } from './model-handle.ts';
import { disposeOwner, type Owner } from './owners.ts';
import { Pass, type PassSequence, type RotaryRows, type RowPositions } from './pass.ts';
import { checkSpans } from './requirements.ts';
import { afterAttention, attendCall, runAttention, transformQkv } from './run-attention.ts';
import { type LayerBody, runLayer } from './run-layer.ts';
import { RunState } from './run-state.ts';
import type { DenoisingSchedule } from './schedule.ts';
import { type PromptSpans, spansUpTo } from './spans.ts';
import { startMethods, startMethodsNow } from './start-methods.ts';

/** How a run starts, beside its methods. */
export interface RunStart extends Partial<RunSettings>, ActivationHooks {
  readonly cache?: CacheOptions | undefined;
}

/** What a method fills that sees heads or acts on them. */
const headSeams = [
  'transformQKV',
  'mask',
  'needs',
  'attend',
  'afterAttention',
  'selectHeads',
  'selectTokens',
  'createCache',
  'companions',
  'layer',
] as const satisfies readonly (keyof Method)[];

/**
 * One run of a model with its methods (or dense): their states, the index store, and the calls of their seams. It is all
 * that architectures know of methods: they call `layers`, `beforeRope`, `attention` and `activation`, and embed positions as
 * `positions` says. Where no method fills a seam, these calls do nothing.
 */
export class MethodRun {
  readonly methods: readonly Method[];
  /** Of what the run's caches keep in full precision. */
  readonly cacheDtype: CacheDtype;
  readonly #cache: CacheOptions;
  readonly #state: RunState;
  #companions: readonly CompanionSequence[] | undefined;
  readonly #companionCaches: KvCache[] = [];

  private constructor(gpu: Gpu, facts: ModelFacts, owners: readonly Owner[], start: RunStart) {
    const activations = start.observe || start.edit ? new Activations(facts, start) : undefined;
    this.methods = owners.map(({ method }) => method);
    this.#cache = start.cache ?? {};
    this.cacheDtype = this.#cache.dtype ?? 'f32';
    checkCacheOptions(this.#cache, facts.headSize);
    this.#state = new RunState(gpu, facts, owners, start.seed ?? 0, activations);
  }

  /**
   * Checks the requirements of one or more methods and creates their states.
   * @throws RefusedError that names the method and what the model lacks, or two methods and the seam that both own;
   *   ArgumentError for the name of an activation that the model lacks.
   */
  static async start(
    model: ModelHandle,
    method?: Method | readonly Method[],
    start: RunStart = {},
  ): Promise<MethodRun> {
    return new MethodRun(model.gpu, model.facts, await startMethods(model, method, start), start);
  }

  /**
   * As `start`, for methods whose states are made without waiting.
   * @throws RefusedError as `start`, and for a method that calibrates on the model
   */
  static startNow(model: ModelHandle, method?: Method | readonly Method[], start: RunStart = {}): MethodRun {
    return new MethodRun(model.gpu, model.facts, startMethodsNow(model, method, start), start);
  }

  /** A run without any method. */
  static dense(model: Pick<ModelHandle, 'gpu' | 'facts'>, hooks: ActivationHooks = {}): MethodRun {
    return new MethodRun(model.gpu, model.facts, [], hooks);
  }

  /** State of the first method, or an empty object. */
  get state(): MethodState {
    return this.#state.owners[0]?.state ?? {};
  }

  /** State of one of the run's methods. @throws ArgumentError for a method of another run */
  stateOf<State extends MethodState>(method: Method<State>): State {
    const owner = this.#state.owners.find((each) => each.method === method);
    if (!owner) throw new ArgumentError('stateOf: method', method.name, 'a method of this run');
    return owner.state as State;
  }

  /** Whether decode steps of the same sizes record the same commands: nobody watches, and of every method it is known. */
  get steady(): boolean {
    // Companions that run beside a step make it another one: no step is opened on their caches.
    const alone = this.companions?.length === 0;
    return alone && this.#state.activations === undefined && this.methods.every(({ steadySteps }) => steadySteps);
  }

  /** Whether no method of the run sees queries and keys, or changes where they go, so that they may be views of a common tensor. */
  get leavesHeads(): boolean {
    return this.methods.every((method) => headSeams.every((seam) => method[seam] === undefined));
  }

  get seed(): number {
    return this.#state.seed;
  }

  /** Whether a prefill pass holds the last tokens of the prompt; set by models that run prompts in parts. */
  get endsPrompt(): boolean {
    return this.#state.endsPrompt;
  }

  set endsPrompt(endsPrompt: boolean) {
    this.#state.endsPrompt = endsPrompt;
  }

  get phase(): Phase {
    return this.#state.phase;
  }

  set phase(phase: Phase) {
    this.#state.phase = phase;
  }

  /** The denoising step whose passes come now; set by models that denoise, before each. Setting one makes the phase `denoise`. */
  get denoisingStep(): DenoisingStep | undefined {
    return this.#state.step;
  }

  set denoisingStep(step: DenoisingStep | undefined) {
    this.#state.step = step;
    if (step) this.#state.phase = 'denoise';
  }

  /** How the tokens of the coming passes lie, as the facts in the methods' contexts tell it. */
  get tokenGrid(): TokenGrid | undefined {
    return this.#state.facts.tokenGrid;
  }

  set tokenGrid(tokenGrid: TokenGrid | undefined) {
    const { tokenGrid: _, ...facts } = this.#state.facts;
    this.#state.facts = tokenGrid ? { ...facts, tokenGrid } : facts;
  }

  // --- one pass: called by models ---

  /**
   * One pass over tokens of these sequences, companions last. Afterwards the tokens count in their caches.
   * @throws RefusedError inside another pass of this run: nested passes take a run of their own; and for a batch in one cache
   *   where methods act, whose states are those of one sequence.
   */
  pass<T>(sequences: readonly PassSequence[], work: () => T): T {
    const { owners, gpu } = this.#state;
    if (this.running) {
      throw new RefusedError('A pass of this run is under way; run the model with a run of its own.');
    }
    if (owners.length > 0 && sequences.some(({ cache }) => cache && cache.batch > 1)) {
      const names = this.methods.map(({ name }) => name).join(', ');
      throw new RefusedError(`${names}: a batch in one cache runs dense; give each sequence a run of its own.`);
    }
    for (const { indices } of owners) indices.clear();
    const pass = new Pass(gpu, sequences);
    const planned = sequences.some(({ cache }) => cache?.openStep);
    this.#state.pass = pass;
    try {
      const result = work();
      pass.advance();
      return result;
    } finally {
      this.#state.pass = undefined;
      // The memory of a plan is for the pass alone.
      if (planned) for (const { indices } of owners) indices.clear();
      pass.dispose();
    }
  }

  // --- one pass: called by architectures ---

  /** Where the rows of the layer that runs now stand in the text, as `rope` and tables of learned positions take it. */
  get positions(): RowPositions {
    return this.#state.running.positions;
  }

  /** The same for the rotary embedding, which may count the tokens of images along several axes. */
  get rotary(): RotaryRows {
    return this.#state.running.rotary;
  }

  /** One more than the last position of the pass. */
  get positionBound(): number {
    return this.#state.running.positionBound;
  }

  /** Rows of the sequence itself in the layer that runs now; those of companions follow. */
  get rows(): number {
    return this.#state.running.main.count;
  }

  /** Runs layers one after another; takes over x, and frees what enters each layer. */
  layers(count: number, x: Tensor, body: LayerBody): Tensor {
    let output = x;
    for (let layer = 0; layer < count; layer++) {
      const input = output;
      output = runLayer(this.#state, layer, input, body);
      input.dispose();
    }
    return output;
  }

  /** Whether somebody observes or edits an activation, so that kernels which never materialise it must not be used. */
  watches(layer: number, kind: LayerActivation): boolean {
    return this.#state.watches(layer, kind);
  }

  /** Names an activation: observers see it, editors may replace it. Returns what the model goes on with. */
  activation(layer: number, kind: LayerActivation | OuterActivation, value: Tensor): Tensor {
    return this.#state.activation(layer, kind, value);
  }

  /** Queries, keys and values of all rows before positions are embedded. `input` is the layer's normed input. */
  beforeRope(layer: number, qkv: Qkv, input: Tensor): Qkv {
    return transformQkv(this.#state, 'beforeRope', layer, qkv, input);
  }

  /**
   * Attention of one layer: caches keys and values, and attends. Positions are embedded in `qkv`; `input` is the layer's
   * normed input; `options` is the model's own mask and scale.
   * @returns [N, H D]
   */
  attention(layer: number, qkv: Qkv, input: Tensor, options: AttentionOptions): Tensor {
    return runAttention(this.#state, layer, transformQkv(this.#state, 'afterRope', layer, qkv, input), options);
  }

  /** Attention over keys and values that the caller keeps, for use without a model. Nothing is cached. */
  attend(layer: number, call: AttentionCall): AttentionResult {
    const attended = attendCall(this.#state, layer, 0, call, undefined);
    const { logSumExp, rowMaximum } = attended.outcome;
    return {
      output: afterAttention(this.#state, layer, attended, []).output,
      ...(logSumExp ? { logSumExp } : {}),
      ...(rowMaximum ? { rowMaximum } : {}),
    };
  }

  /** Whether a pass is under way. */
  get running(): boolean {
    return this.#state.pass !== undefined;
  }

  // --- between passes: called by models ---

  /** Whether a method wants the prompt in one pass. */
  get wholePrompt(): boolean {
    return this.methods.some((method) => method.wholePrompt);
  }

  /** What each layer's cache keeps: as the model has it, as the run was asked to keep it, or as a method wants it. */
  layerCaches(specs: readonly LayerCacheSpec[]): readonly LayerCacheSpec[] {
    const { dtype: _, paged = this.#cache.precision !== undefined, ...options } = this.#cache;
    const asked = paged
      ? specs.map((spec) => (spec.kind === 'contiguous' ? { ...spec, ...options, kind: 'paged' as const } : spec))
      : specs;
    const owner = this.#state.owners.find(({ method }) => method.createCache);
    if (!owner) return asked;
    return asked.map((spec, layer) => {
      const context = { model: this.#state.facts, layer, ...this.#state.placeOf(layer), spec, state: owner.state };
      return owner.method.createCache?.(context) ?? spec;
    });
  }

  /** @throws RefusedError where a method misses a span of the prompt */
  checkSpans(spans: PromptSpans | undefined): void {
    checkSpans(this.methods, spans);
  }

  /** Companions of the pass to come, once they were started; undefined where a method wants some and they were not. */
  get companions(): readonly CompanionSequence[] | undefined {
    if (this.#companions && this.phase === 'decode') return this.#companions.filter(({ promptOnly }) => !promptOnly);
    return this.#companions ?? (this.#state.owners.some(({ method }) => method.companions) ? undefined : []);
  }

  /**
   * Asks for the companions of a prompt and makes their caches, which live as long as the run.
   * @param reserve Tokens to leave room for behind their prompts.
   * @throws ArgumentError for a companion without tokens; RefusedError where two methods give companions
   */
  startCompanions(model: ModelHandle, prompt: EncodedPrompt, reserve: number): readonly CompanionSequence[] {
    const started: CompanionSequence[] = [];
    this.#companions = started;
    let owner: string | undefined;
    for (const { method, state } of this.#state.owners) {
      for (const companion of method.companions?.({ model, ids: prompt.ids, prompt, state }) ?? []) {
        if (companion.ids.length === 0) {
          throw new ArgumentError(`${method.name}: companion`, 'no tokens', 'at least one token');
        }
        if (owner !== undefined && owner !== method.name) {
          throw new RefusedError(
            `${owner} and ${method.name} cannot run together: both run further sequences beside the prompt.`,
          );
        }
        owner = method.name;
        const cache = model.createCache(companion.ids.length + (companion.promptOnly ? 0 : reserve));
        cache.prompt = companion.prompt?.facts;
        this.#companionCaches.push(cache);
        started.push({ ...companion, cache });
      }
    }
    return started;
  }

  /** Logits [rows, vocabularySize] as the methods leave them; `companions` are those of the companions' newest tokens. */
  processLogits(logits: Tensor, companions: readonly Tensor[] = []): Tensor {
    return this.#state.seams.processLogits.reduce(
      (current, { method, state }) =>
        method.processLogits?.(
          { gpu: this.#state.gpu, model: this.#state.facts, phase: this.#state.phase, companions, state },
          current,
        ) ?? current,
      logits,
    );
  }

  /** Stages of a denoising run as the methods change them. */
  schedule(given: DenoisingSchedule): DenoisingSchedule {
    return this.methods.reduce((schedule, method) => method.schedule?.(schedule, this.#state.facts) ?? schedule, given);
  }

  /** Between two tokens, or two denoising steps. */
  async step(place: StepPlace): Promise<void> {
    const told =
      place.phase === 'decode' ? { ...place, spans: spansUpTo(place.cache.prompt?.spans, place.cache.length) } : place;
    for (const { method, state } of this.#state.owners) {
      if (method.phases.includes(place.phase)) await method.step?.({ ...told, state } as StepContext);
    }
  }

  dispose(): void {
    for (const owner of this.#state.owners) disposeOwner(owner);
    for (const cache of this.#companionCaches) cache.dispose();
  }
}
