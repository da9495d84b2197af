import { attention } from '../attention/attention.ts';
import type { AttentionOptions, AttentionResult } from '../attention/types.ts';
import type { KvCache } from '../cache/kv-cache.ts';
import type { LayerCache, LayerCacheSpec } from '../cache/types.ts';
import type { Gpu } from '../device/gpu.ts';
import { ArgumentError, RefusedError, ShapeError } from '../errors.ts';
import { concatenate, contiguous } from '../ops/copy.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { type ActivationHooks, Activations, type LayerActivation, type OuterActivation } from './activations.ts';
import { attendThroughMethods, type GatheredStatistics, withStatistics } from './attend-chain.ts';
import { showPattern } from './attention-pattern.ts';
import type { CompanionSequence } from './companions.ts';
import type { AttentionCall, AttentionOutcome, LayerContext, MethodState, Phase, Qkv } from './contexts.ts';
import type { Method, RunSettings, StepContext } from './method.ts';
import type { ModelFacts, ModelHandle } from './model-handle.ts';
import { checkOwners, disposeOwner, noSeams, type Owner, type Seams, SequenceIndices, seamsIn } from './owners.ts';
import { Pass, type PassSequence, type RowPositions, type SequenceRows } from './pass.ts';
import { checkEviction, checkRequirements, checkWholeCache } from './requirements.ts';
import type { DenoisingSchedule } from './schedule.ts';

/** How a run starts, beside its methods. */
export interface RunStart extends Partial<RunSettings>, ActivationHooks {}

/** Runs one layer on its input [N, E]. */
export type LayerBody = (layer: number, x: Tensor) => Tensor;

/** Attention of one sequence, and what methods asked of it. */
interface Attended {
  readonly outcome: AttentionOutcome;
  readonly gathered: GatheredStatistics;
}

const none: GatheredStatistics = new Map();

/**
 * One run of a model with its methods (or dense): their states, the index store, and the calls of their seams. It is all
 * that architectures know of methods: they call `layers`, `beforeRope`, `attention` and `activation`, and embed positions as
 * `positions` says. Where no method fills a seam, these calls do nothing.
 */
export class MethodRun {
  readonly methods: readonly Method[];
  readonly seed: number;
  /** Whether a prefill pass holds the last tokens of the prompt; set by models that run prompts in parts. */
  endsPrompt = true;
  readonly #gpu: Gpu;
  readonly #facts: ModelFacts;
  readonly #owners: readonly Owner[];
  readonly #activations: Activations | undefined;
  readonly #globalLayers: readonly number[];
  readonly #seamsByPhase = new Map<Phase, Seams>();
  #phase: Phase;
  #seams: Seams;
  #pass: Pass | undefined;
  #companions: readonly CompanionSequence[] | undefined;
  readonly #companionCaches: KvCache[] = [];

  private constructor(gpu: Gpu, facts: ModelFacts, owners: readonly Owner[], start: RunStart) {
    this.#gpu = gpu;
    this.#facts = facts;
    this.#owners = owners;
    this.methods = owners.map(({ method }) => method);
    this.seed = start.seed ?? 0;
    this.#globalLayers = globalLayerIndices(facts);
    this.#activations = start.observe || start.edit ? new Activations(facts, start) : undefined;
    this.#phase = facts.causal ? 'prefill' : 'encode';
    this.#seams = this.#seamsOf(this.#phase);
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
    const owners: Owner[] = [];
    try {
      for (const each of accepted(model, method)) {
        start.signal?.throwIfAborted();
        owners.push(ownerOf(model, each, (await each.createState?.(model, settingsOf(start))) ?? {}));
      }
      return new MethodRun(model.gpu, model.facts, owners, start);
    } catch (error) {
      for (const owner of owners) disposeOwner(owner);
      throw error;
    }
  }

  /**
   * As `start`, for methods whose states are made without waiting.
   * @throws RefusedError as `start`, and for a method that calibrates on the model
   */
  static startNow(model: ModelHandle, method?: Method | readonly Method[], start: RunStart = {}): MethodRun {
    const owners: Owner[] = [];
    try {
      for (const each of accepted(model, method)) {
        const state = each.createState?.(model, settingsOf(start)) ?? {};
        if (state instanceof Promise) {
          state.catch(() => undefined);
          throw new RefusedError(`${each.name} waits while it makes its state; start the run with MethodRun.start.`);
        }
        owners.push(ownerOf(model, each, state));
      }
      return new MethodRun(model.gpu, model.facts, owners, start);
    } catch (error) {
      for (const owner of owners) disposeOwner(owner);
      throw error;
    }
  }

  /** A run without any method. */
  static dense(model: Pick<ModelHandle, 'gpu' | 'facts'>, hooks: ActivationHooks = {}): MethodRun {
    return new MethodRun(model.gpu, model.facts, [], hooks);
  }

  /** State of the first method, or an empty object. */
  get state(): MethodState {
    return this.#owners[0]?.state ?? {};
  }

  /** State of one of the run's methods. @throws ArgumentError for a method of another run */
  stateOf<State extends MethodState>(method: Method<State>): State {
    const owner = this.#owners.find((each) => each.method === method);
    if (!owner) throw new ArgumentError('stateOf: method', method.name, 'a method of this run');
    return owner.state as State;
  }

  get phase(): Phase {
    return this.#phase;
  }

  set phase(phase: Phase) {
    if (phase === this.#phase) return;
    this.#phase = phase;
    this.#seams = this.#seamsOf(phase);
  }

  // --- one pass: called by models ---

  /**
   * One pass over tokens of these sequences, companions last. Afterwards the tokens count in their caches.
   * @throws RefusedError inside another pass of this run: nested passes take a run of their own; and for a batch in one cache
   *   where methods act, whose states are those of one sequence.
   */
  pass<T>(sequences: readonly PassSequence[], work: () => T): T {
    if (this.#pass) throw new RefusedError('A pass of this run is under way; run the model with a run of its own.');
    if (this.#owners.length > 0 && sequences.some(({ cache }) => cache && cache.batch > 1)) {
      const names = this.methods.map(({ name }) => name).join(', ');
      throw new RefusedError(`${names}: a batch in one cache runs dense; give each sequence a run of its own.`);
    }
    for (const { indices } of this.#owners) indices.clear();
    const pass = new Pass(this.#gpu, sequences);
    this.#pass = pass;
    try {
      const result = work();
      pass.advance();
      return result;
    } finally {
      this.#pass = undefined;
      pass.dispose();
    }
  }

  // --- one pass: called by architectures ---

  /** Where the rows of the layer that runs now stand in the text, as `rope` and tables of learned positions take it. */
  get positions(): RowPositions {
    return this.#running().positions;
  }

  /** One more than the last position of the pass. */
  get positionBound(): number {
    return this.#running().positionBound;
  }

  /** Rows of the sequence itself in the layer that runs now; those of companions follow. */
  get rows(): number {
    return this.#running().main.count;
  }

  /** Runs layers one after another; takes over x, and frees what enters each layer. */
  layers(count: number, x: Tensor, body: LayerBody): Tensor {
    let output = x;
    for (let layer = 0; layer < count; layer++) {
      const input = output;
      output = this.#layer(layer, input, body);
      input.dispose();
    }
    return output;
  }

  /** Whether somebody observes or edits an activation, so that kernels which never materialise it must not be used. */
  watches(layer: number, kind: LayerActivation): boolean {
    return this.#activations?.has(layer, kind) ?? false;
  }

  /** Names an activation: observers see it, editors may replace it. Returns what the model goes on with. */
  activation(layer: number, kind: LayerActivation | OuterActivation, value: Tensor): Tensor {
    if (!this.#activations) return value;
    const { main } = this.#running();
    const held = kind === 'logits' ? rowsWithLogits(value.shape[0] as number, main.count) : undefined;
    return this.#activations.apply(layer, kind, value, main, this.#phase, held);
  }

  /** Queries, keys and values of all rows before positions are embedded. `input` is the layer's normed input. */
  beforeRope(layer: number, qkv: Qkv, input: Tensor): Qkv {
    return this.#seams.beforeRope.length === 0 ? qkv : this.#transform('beforeRope', layer, qkv, input);
  }

  /**
   * Attention of one layer: caches keys and values, and attends. Positions are embedded in `qkv`; `input` is the layer's
   * normed input; `options` is the model's own mask and scale.
   * @returns [N, H D]
   */
  attention(layer: number, qkv: Qkv, input: Tensor, options: AttentionOptions): Tensor {
    const { afterRope } = this.#seams;
    const { sequences } = this.#running();
    const changed = afterRope.length === 0 ? qkv : this.#transform('afterRope', layer, qkv, input);
    if (sequences.length === 1) {
      const main = this.#attendSequence(layer, 0, changed, options);
      return rowsFirst(this.#outputHeads(layer, main, []));
    }
    const attended = sequences.map((_, sequence) => {
      const [q, k, v] = [changed.q, changed.k, changed.v].map((tensor) => this.#rowsOf(tensor, sequence));
      return this.#attendSequence(layer, sequence, { q, k, v } as Qkv, options);
    });
    const [main, ...companions] = attended as [Attended, ...Attended[]];
    const heads = [this.#outputHeads(layer, main, companions), ...companions.map(({ outcome }) => outcome.output)];
    return concatenate(heads.map(rowsFirst));
  }

  /** Attention over keys and values that the caller keeps, for use without a model. Nothing is cached. */
  attend(layer: number, call: AttentionCall): AttentionResult {
    const attended = this.#attendCall(layer, 0, call, undefined);
    const { logSumExp, rowMaximum } = attended.outcome;
    return {
      output: this.#afterAttention(layer, attended, []),
      ...(logSumExp ? { logSumExp } : {}),
      ...(rowMaximum ? { rowMaximum } : {}),
    };
  }

  /** Whether a pass is under way. */
  get running(): boolean {
    return this.#pass !== undefined;
  }

  // --- between passes: called by models ---

  /** Whether a method wants the prompt in one pass. */
  get wholePrompt(): boolean {
    return this.methods.some((method) => method.wholePrompt);
  }

  /** What each layer's cache keeps: as the model has it, or as a method wants it. */
  layerCaches(specs: readonly LayerCacheSpec[]): readonly LayerCacheSpec[] {
    const owner = this.#owners.find(({ method }) => method.createCache);
    if (!owner) return specs;
    return specs.map((spec, layer) => {
      const context = { model: this.#facts, layer, ...this.#placeOf(layer), spec, state: owner.state };
      return owner.method.createCache?.(context) ?? spec;
    });
  }

  /** Companions of the prompt, once they were started; undefined where a method wants some and they were not. */
  get companions(): readonly CompanionSequence[] | undefined {
    return this.#companions ?? (this.#owners.some(({ method }) => method.companions) ? undefined : []);
  }

  /**
   * Asks for the companions of a prompt and makes their caches, which live as long as the run.
   * @param reserve Tokens to leave room for behind their prompts.
   * @throws ArgumentError for a companion without tokens
   */
  startCompanions(model: ModelHandle, ids: readonly number[], reserve: number): readonly CompanionSequence[] {
    const started: CompanionSequence[] = [];
    this.#companions = started;
    for (const { method, state } of this.#owners) {
      for (const companion of method.companions?.({ model, ids, state }) ?? []) {
        if (companion.ids.length === 0) {
          throw new ArgumentError(`${method.name}: companion`, 'no tokens', 'at least one token');
        }
        const cache = model.createCache(companion.ids.length + reserve);
        this.#companionCaches.push(cache);
        started.push({ ...companion, cache });
      }
    }
    return started;
  }

  /** Logits [rows, vocabularySize] as the methods leave them; `companions` are those of the companions' newest tokens. */
  processLogits(logits: Tensor, companions: readonly Tensor[] = []): Tensor {
    return this.#seams.processLogits.reduce(
      (current, { method, state }) =>
        method.processLogits?.(
          { gpu: this.#gpu, model: this.#facts, phase: this.#phase, companions, state },
          current,
        ) ?? current,
      logits,
    );
  }

  /** Stages of a denoising run as the methods change them. */
  schedule(given: DenoisingSchedule): DenoisingSchedule {
    return this.methods.reduce((schedule, method) => method.schedule?.(schedule, this.#facts) ?? schedule, given);
  }

  /** Between two tokens. */
  async step(context: Omit<StepContext, 'state'>): Promise<void> {
    for (const { method, state } of this.#owners) await method.step?.({ ...context, state });
  }

  dispose(): void {
    for (const owner of this.#owners) disposeOwner(owner);
    for (const cache of this.#companionCaches) cache.dispose();
  }

  #layer(layer: number, x: Tensor, body: LayerBody): Tensor {
    const { layer: wrappers, selectTokens } = this.#seams;
    if (wrappers.length === 0 && !selectTokens && !this.#activations) return this.#gpu.tidy(() => body(layer, x));
    return this.#gpu.tidy(() => {
      const input = this.activation(layer, 'residual.pre', x);
      const output = this.activation(layer, 'residual.post', this.#wrapped(layer, input, body));
      const selection = selectTokens?.method.selectTokens?.(this.#context(selectTokens, layer, 0), output);
      const rest = selection ? this.#running().select(output, selection) : output;
      // A method may give back its input or a tensor of its own; the pass frees what it gets.
      return rest.alias();
    });
  }

  /** The layer inside the methods that wrap it. */
  #wrapped(layer: number, x: Tensor, body: LayerBody): Tensor {
    const { layer: wrappers } = this.#seams;
    const pass = this.#running();
    let ran = false;
    const from = (at: number, input: Tensor): Tensor => {
      const owner = wrappers[at];
      if (!owner) {
        if (ran)
          throw new RefusedError(
            `${wrappers.map(({ method }) => method.name).join(', ')}: layer ${layer} ran twice in one pass; call next once.`,
          );
        ran = true;
        return body(layer, input);
      }
      const output = owner.method.layer?.(this.#context(owner, layer, 0), input, (inner, rows) =>
        rows === undefined ? from(at + 1, inner) : pass.within(rows, () => from(at + 1, inner)),
      ) as Tensor;
      if (output.shape[0] !== input.shape[0]) {
        throw new ShapeError(
          `${owner.method.name}: layer ${layer}`,
          `gave ${output.shape[0]} rows for ${input.shape[0]}; tokens leave through selectTokens.`,
        );
      }
      return output;
    };
    return from(0, x);
  }

  #transform(seam: 'beforeRope' | 'afterRope', layer: number, qkv: Qkv, input: Tensor): Qkv {
    const parts = this.#running().sequences.map((rows, sequence) => {
      const own = this.#rowsOf(input, sequence);
      let current: Qkv = {
        q: this.#rowsOf(qkv.q, sequence),
        k: this.#rowsOf(qkv.k, sequence),
        v: this.#rowsOf(qkv.v, sequence),
      };
      if (!rows.withMethods) return current;
      for (const owner of this.#seams[seam]) {
        const change = owner.method.transformQKV?.[seam];
        current = { ...current, ...change?.(this.#context(owner, layer, sequence), current, own) };
      }
      return current;
    });
    if (parts.length === 1) return parts[0] as Qkv;
    const join = (name: keyof Qkv) => concatenate(parts.map((part) => part[name]));
    return { q: join('q'), k: join('k'), v: join('v') };
  }

  /** Attention of the rows of one sequence; its new keys and values are cached first. */
  #attendSequence(layer: number, sequence: number, qkv: Qkv, options: AttentionOptions): Attended {
    const { cache, count, positions, selected } = this.#rows(sequence);
    const named = sequence === 0 ? this.#named(layer, qkv) : qkv;
    const batch = cache?.batch ?? 1;
    const [q, k, v] = [headsFirst(named.q, batch), headsFirst(named.k, batch), headsFirst(named.v, batch)];
    const layerCache = cache?.layer(layer);
    const view = layerCache?.append(k, v, selected ? positions : undefined) ?? {
      keys: k,
      values: v,
      options: { keyLength: count },
    };
    const call = { q, keys: view.keys, values: view.values, options: { ...options, ...view.options } };
    return this.#attendCall(layer, sequence, call, layerCache);
  }

  #attendCall(layer: number, sequence: number, call: AttentionCall, cache: LayerCache | undefined): Attended {
    const rows = this.#rows(sequence);
    const seams = rows.withMethods ? this.#seams : noSeams;
    if (cache?.kind === 'ragged' && rows.withMethods) checkWholeCache(this.methods, layer);
    const watched = sequence === 0 && this.watches(layer, 'attention.pattern');
    if (!seams.attends && !watched) {
      return {
        outcome: { ...call, ...attention(call.q, call.keys, call.values, call.options), cache },
        gathered: none,
      };
    }
    const { result, gathered } = attendThroughMethods(
      seams,
      (owner) => this.#context(owner, layer, sequence, call),
      call,
      watched ? (...engine) => this.#pattern(layer, rows, ...engine) : undefined,
    );
    return { outcome: { ...call, ...result, cache }, gathered };
  }

  #pattern(layer: number, rows: SequenceRows, call: AttentionCall, result: AttentionResult): AttentionResult {
    const activations = this.#activations as Activations;
    const held = activations.rowsWatched(layer, 'attention.pattern', rows);
    const output = showPattern(call, result, held, (pattern) =>
      activations.apply(layer, 'attention.pattern', pattern, rows, this.#phase, held),
    );
    return { ...result, output };
  }

  /** What `afterAttention` and editors leave of a sequence's output: [B, H, N, D]. */
  #outputHeads(layer: number, main: Attended, companions: readonly Attended[]): Tensor {
    const output = this.#afterAttention(layer, main, companions);
    if (!this.watches(layer, 'attention.z')) return output;
    const [batch, heads, count, size] = output.shape as [number, number, number, number];
    const z = this.activation(layer, 'attention.z', rowsFirst(output).reshape([batch * count, heads, size]));
    return headsFirst(z, batch);
  }

  #afterAttention(layer: number, main: Attended, companions: readonly Attended[]): Tensor {
    const { afterAttention } = this.#seams;
    if (afterAttention.length === 0) return main.outcome.output;
    const others = companions.map(({ outcome }) => outcome);
    return afterAttention.reduce((output, owner) => {
      const context = this.#context(owner, layer, 0, main.outcome);
      const outcome = withStatistics({ ...main.outcome, output }, main.gathered.get(owner));
      return owner.method.afterAttention?.(context, outcome, others) ?? output;
    }, main.outcome.output);
  }

  #named(layer: number, { q, k, v }: Qkv): Qkv {
    if (!this.#activations) return { q, k, v };
    return {
      q: this.activation(layer, 'attention.q', q),
      k: this.activation(layer, 'attention.k', k),
      v: this.activation(layer, 'attention.v', v),
    };
  }

  #context(owner: Owner, layer: number, sequence: number, { options }: Partial<AttentionCall> = {}): LayerContext {
    const { start, seen, count, positions } = this.#rows(sequence);
    const { keyLength, keyBound = start + count } = options ?? {};
    return {
      gpu: this.#gpu,
      model: this.#facts,
      layer,
      ...this.#placeOf(layer),
      phase: this.#phase,
      sequence,
      queryLength: count,
      keyLength: typeof keyLength === 'number' ? keyLength : keyBound,
      start,
      seen,
      endsPrompt: this.endsPrompt,
      positions,
      indices: owner.indices.of(sequence),
      seed: this.seed,
      state: owner.state,
    };
  }

  #placeOf(layer: number): Pick<LayerContext, 'kind' | 'globalLayer'> {
    return { kind: this.#facts.layerKinds[layer] ?? 'global', globalLayer: this.#globalLayers[layer] ?? -1 };
  }

  #rows(sequence: number): SequenceRows {
    return this.#running().sequences[sequence] as SequenceRows;
  }

  /** The rows of one sequence in a tensor of all rows. */
  #rowsOf(tensor: Tensor, sequence: number): Tensor {
    const { sequences } = this.#running();
    if (sequences.length === 1) return tensor;
    const from = sequences.slice(0, sequence).reduce((sum, { count }) => sum + count, 0);
    return tensor.slice(0, from, from + this.#rows(sequence).count);
  }

  #running(): Pass {
    if (!this.#pass) throw new RefusedError('No pass of this run is under way.');
    return this.#pass;
  }

  #seamsOf(phase: Phase): Seams {
    const known = this.#seamsByPhase.get(phase);
    if (known) return known;
    const seams = seamsIn(this.#owners, phase);
    this.#seamsByPhase.set(phase, seams);
    return seams;
  }
}

/** For each layer its number among the global layers, or -1. */
function globalLayerIndices(facts: ModelFacts): number[] {
  let count = 0;
  return facts.layerKinds.map((kind) => (kind === 'global' ? count++ : -1));
}

/** The methods of a run. @throws RefusedError where they do not fit the model or each other */
function accepted(model: ModelHandle, method: Method | readonly Method[] | undefined): readonly Method[] {
  const methods = method === undefined ? [] : [method].flat();
  checkOwners(methods);
  checkEviction(methods);
  for (const each of methods) checkRequirements(each, model.facts);
  return methods;
}

function settingsOf({ seed = 0, signal }: RunStart): RunSettings {
  return { seed, signal };
}

function ownerOf(model: ModelHandle, method: Method, state: MethodState): Owner {
  return { method, state, indices: new SequenceIndices(model.gpu, model.facts.layerKinds) };
}

/** Logits may be those of the last token alone, or of the last one of each sequence of a batch. */
function rowsWithLogits(rows: number, count: number): readonly number[] | undefined {
  return rows === count ? undefined : Array.from({ length: rows }, (_, row) => ((row + 1) * count) / rows - 1);
}

/** [B N, heads, D] as [B, heads, N, D]. */
function headsFirst(x: Tensor, batch: number): Tensor {
  const [rows, heads, size] = x.shape as [number, number, number];
  return x.reshape([batch, rows / batch, heads, size]).transpose(0, 2, 1, 3);
}

/** [B, heads, N, D] as [B N, heads D]; a view of what the engine gives. */
function rowsFirst(x: Tensor): Tensor {
  const [batch, heads, count, size] = x.shape as [number, number, number, number];
  const turned = x.transpose(0, 2, 1, 3);
  return (turned.contiguous ? turned : contiguous(turned)).reshape([batch * count, heads * size]);
}
