import { attention } from '../attention/attention.ts';
import type { Gpu } from '../device/gpu.ts';
import { RefusedError } from '../errors.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { IndexStore } from './index-store.ts';
import type { AttentionCall, Method, MethodState, Phase, StepContext } from './method.ts';
import type { ModelFacts, ModelHandle } from './model-handle.ts';

/** One run of a model with a method (or dense): the method's state, the index store, and the calls of its seams. */
export class MethodRun {
  readonly method: Method | undefined;
  readonly indices: IndexStore;
  readonly state: MethodState;
  phase: Phase = 'prefill';
  readonly #gpu: Gpu;
  readonly #facts: ModelFacts;
  readonly #globalLayers: readonly number[];

  private constructor(gpu: Gpu, facts: ModelFacts, method: Method | undefined, state: MethodState) {
    this.#gpu = gpu;
    this.#facts = facts;
    this.method = method;
    this.state = state;
    this.indices = new IndexStore(gpu);
    this.#globalLayers = globalLayerIndices(facts);
  }

  /**
   * Checks the method's requirements and creates its state.
   * @throws RefusedError that names the method and what the model lacks.
   */
  static async start(model: ModelHandle, method?: Method): Promise<MethodRun> {
    if (method) checkRequirements(method, model.facts);
    const state = (await method?.createState?.(model)) ?? {};
    return new MethodRun(model.gpu, model.facts, method, state);
  }

  /** A run without any method. */
  static dense(model: ModelHandle): MethodRun {
    return new MethodRun(model.gpu, model.facts, undefined, {});
  }

  /** Called by architectures before the first layer of every pass. */
  beginPass(): void {
    this.indices.clear();
  }

  /** Attention of one layer through the method's `attend`. Returns [B, H, N, D]. */
  attend(layer: number, keyLength: number, call: AttentionCall): Tensor {
    const engine: Parameters<NonNullable<Method['attend']>>[2] = (restriction) =>
      attention(call.q, call.keys, call.values, { ...call.options, ...restriction }).output;
    if (!this.method?.attend) return engine();
    return this.method.attend(
      {
        gpu: this.#gpu,
        model: this.#facts,
        layer,
        kind: this.#facts.layerKinds[layer] ?? 'global',
        globalLayer: this.#globalLayers[layer] ?? -1,
        phase: this.phase,
        queryLength: call.q.shape[2] as number,
        keyLength,
        indices: this.indices,
        state: this.state,
      },
      call,
      engine,
    );
  }

  /** Between two tokens. */
  async step(context: Omit<StepContext, 'state'>): Promise<void> {
    await this.method?.step?.({ ...context, state: this.state });
  }

  dispose(): void {
    this.indices.clear();
    (this.state as { dispose?: () => void }).dispose?.();
  }
}

/** For each layer its number among the global layers, or -1. */
export function globalLayerIndices(facts: ModelFacts): number[] {
  let count = 0;
  return facts.layerKinds.map((kind) => (kind === 'global' ? count++ : -1));
}

function checkRequirements(method: Method, facts: ModelFacts): void {
  const { requires } = method;
  if (!requires) return;
  const reasons: string[] = [];
  const direction = facts.causal ? 'causal' : 'bidirectional';
  if (requires.direction && requires.direction !== direction)
    reasons.push(`needs a ${requires.direction} model; it is ${direction}`);
  const globalLayers = facts.layerKinds.filter((kind) => kind === 'global').length;
  if (requires.globalLayers !== undefined && globalLayers < requires.globalLayers) {
    reasons.push(`needs ${requires.globalLayers} global layers; it has ${globalLayers}`);
  }
  const reason = requires.check?.(facts);
  if (reason) reasons.push(reason);
  if (reasons.length > 0) throw new RefusedError(`${method.name} cannot run on ${facts.name}: ${reasons.join('; ')}.`);
}
