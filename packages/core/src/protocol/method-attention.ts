import { attention as engine } from '../attention/attention.ts';
import type { KeyRows } from '../attention/paged/paged-rows.ts';
import type { AttentionOptions, AttentionResult } from '../attention/types.ts';
import { Gpu } from '../device/gpu.ts';
import { RefusedError, ShapeError } from '../errors.ts';
import type { Tensor } from '../tensor/tensor.ts';
import type { Phase } from './contexts.ts';
import type { Method } from './method.ts';
import { MethodRun } from './method-run.ts';
import type { ModelFacts } from './model-handle.ts';
import type { PromptSpans } from './spans.ts';
import { TextlessModel } from './textless-model.ts';

/** Options of attention through methods, without a model. */
export interface MethodAttentionOptions extends AttentionOptions {
  /** One method, or several that compose from left to right. */
  readonly method?: Method | readonly Method[];
  /** A run whose methods and states serve several calls (see {@link bareRun}), in place of `method`. */
  readonly run?: MethodRun;
  /** Layer that the call stands for, 0-based. Default 0. */
  readonly layer?: number;
  /** Default: `denoise` in a run that was told its step, else `decode` for one query, else `prefill` where causal and `encode` where not. */
  readonly phase?: Phase;
  /** Which positions hold what, where the method asks for it. */
  readonly spans?: PromptSpans;
  /** Facts about the model that the tensors come from, where the method asks for more than the tensors say. */
  readonly facts?: Partial<ModelFacts>;
}

/**
 * Exact attention, softmax(scale q k^T) v, over the keys that the options select: the engine's own `attention`, or, with the
 * `gpu` in front, through methods that act as in a model.
 *
 * @param q f32 or f16 [B, H, N, D]
 * @param k f32 or f16 [B, Hkv, M, D]
 * @param v as `k`
 * @throws RefusedError where a method needs what is not there: other facts, a model to calibrate on. Else as the engine.
 */
export function attention(q: Tensor, k: KeyRows, v: KeyRows, options?: AttentionOptions): AttentionResult;
export function attention(
  gpu: Gpu,
  q: Tensor,
  k: KeyRows,
  v: KeyRows,
  options: MethodAttentionOptions,
): AttentionResult;
export function attention(first: Gpu | Tensor, ...rest: unknown[]): AttentionResult {
  return first instanceof Gpu
    ? throughMethods(first, ...(rest as [Tensor, KeyRows, KeyRows, MethodAttentionOptions]))
    : engine(first, ...(rest as [KeyRows, KeyRows, AttentionOptions?]));
}

/**
 * A run of methods for attention without a model, over several calls: give it to `attention` as `run`, and enclose the
 * layers of one pass in `run.pass`, so that lists are handed on between them. Dispose it.
 *
 * @throws RefusedError as {@link attention}
 */
export function bareRun(
  gpu: Gpu,
  method: Method | readonly Method[],
  facts: Pick<ModelFacts, 'layers' | 'heads' | 'kvHeads' | 'headSize'> & Partial<ModelFacts>,
): MethodRun {
  return MethodRun.startNow(new BareModel(gpu, completeFacts(facts)), method);
}

function throughMethods(gpu: Gpu, q: Tensor, k: KeyRows, v: KeyRows, given: MethodAttentionOptions): AttentionResult {
  const { method, run: givenRun, layer = 0, phase, facts, spans, ...options } = given;
  if (q.rank !== 4 || k.rank !== 4) {
    throw new ShapeError('attention', `q is [${q.shape}] and k [${k.shape}]; it takes 4 axes.`);
  }
  const [batch, heads, count, headSize] = q.shape as [number, number, number, number];
  const [, kvHeads, stored] = k.shape as [number, number, number];
  const causal = options.causal ?? count === 1;
  const keyLength = typeof options.keyLength === 'number' ? options.keyLength : stored;
  const known = { layers: layer + 1, heads, kvHeads, headSize, contextLength: stored, causal, ...facts };
  return gpu.tidy(() => {
    const run = givenRun ?? bareRun(gpu, method ?? [], known);
    try {
      const call = { q, keys: k, values: v, options: { ...options, keyLength: options.keyLength ?? keyLength } };
      const work = () => run.attend(layer, call);
      if (run.running) return work();
      run.phase = phase ?? (run.denoisingStep ? 'denoise' : defaultPhase(count, causal));
      run.checkSpans(spans);
      const prompt = spans && { spans };
      return run.pass([{ cache: undefined, count: batch * count, batch, start: keyLength - count, prompt }], work);
    } finally {
      if (!givenRun) run.dispose();
    }
  });
}

function defaultPhase(queries: number, causal: boolean): Phase {
  if (queries === 1) return 'decode';
  return causal ? 'prefill' : 'encode';
}

function completeFacts(
  facts: Pick<ModelFacts, 'layers' | 'heads' | 'kvHeads' | 'headSize'> & Partial<ModelFacts>,
): ModelFacts {
  return {
    name: 'attention without a model',
    architecture: 'none',
    layerKinds: new Array(facts.layers).fill('global'),
    hiddenSize: facts.heads * facts.headSize,
    vocabularySize: 0,
    contextLength: Number.MAX_SAFE_INTEGER,
    causal: true,
    phases: ['prefill', 'decode', 'encode', 'denoise'],
    features: ['imageSpans'],
    ...facts,
  };
}

/** Stands for the model where there is none: facts, and a refusal of everything that would run it. */
class BareModel extends TextlessModel {
  readonly gpu: Gpu;
  readonly facts: ModelFacts;

  constructor(gpu: Gpu, facts: ModelFacts) {
    super();
    this.gpu = gpu;
    this.facts = facts;
  }

  dispose(): void {}

  protected refuse(what: string): never {
    throw new RefusedError(`The method asks for ${what}, but attention runs without a model here.`);
  }
}
