import type { Gpu } from '../device/gpu.ts';
import { RefusedError } from '../errors.ts';
import type { Tensor } from '../tensor/tensor.ts';
import type { Activations, LayerActivation, OuterActivation } from './activations.ts';
import type { AttentionCall, LayerContext, Phase } from './contexts.ts';
import type { DenoisingStep } from './denoising.ts';
import type { ModelFacts } from './model-handle.ts';
import { type Owner, type Seams, seamsIn } from './owners.ts';
import type { Pass, SequenceRows } from './pass.ts';
import { spansUpTo } from './spans.ts';

/** What the parts of a run share: its methods, its phase, and the pass that is under way. */
export class RunState {
  readonly gpu: Gpu;
  readonly owners: readonly Owner[];
  readonly seed: number;
  readonly activations: Activations | undefined;
  facts: ModelFacts;
  endsPrompt = true;
  /** In a denoising run the step whose passes come now. */
  step: DenoisingStep | undefined;
  pass: Pass | undefined;
  readonly #globalLayers: readonly number[];
  readonly #seamsByPhase = new Map<Phase, Seams>();
  #phase: Phase;
  #seams: Seams;

  constructor(
    gpu: Gpu,
    facts: ModelFacts,
    owners: readonly Owner[],
    seed: number,
    activations: Activations | undefined,
  ) {
    this.gpu = gpu;
    this.facts = facts;
    this.owners = owners;
    this.seed = seed;
    this.activations = activations;
    this.#globalLayers = globalLayerIndices(facts);
    this.#phase = facts.causal ? 'prefill' : 'encode';
    this.#seams = this.#seamsOf(this.#phase);
  }

  get phase(): Phase {
    return this.#phase;
  }

  set phase(phase: Phase) {
    if (phase === this.#phase) return;
    this.#phase = phase;
    this.#seams = this.#seamsOf(phase);
  }

  /** Who fills the seams in this phase. */
  get seams(): Seams {
    return this.#seams;
  }

  /** The pass that is under way. @throws RefusedError outside of one */
  get running(): Pass {
    if (!this.pass) throw new RefusedError('No pass of this run is under way.');
    return this.pass;
  }

  /** The rows of one sequence in the layer that runs now. */
  rows(sequence: number): SequenceRows {
    return this.running.sequences[sequence] as SequenceRows;
  }

  /** The rows of one sequence in a tensor of all rows. */
  rowsOf(tensor: Tensor, sequence: number): Tensor {
    const { sequences } = this.running;
    if (sequences.length === 1) return tensor;
    const from = sequences.slice(0, sequence).reduce((sum, { count }) => sum + count, 0);
    return tensor.slice(0, from, from + this.rows(sequence).count);
  }

  /** Where a layer stands, counted over all layers and over the global ones. */
  placeOf(layer: number): Pick<LayerContext, 'kind' | 'globalLayer'> {
    return { kind: this.facts.layerKinds[layer] ?? 'global', globalLayer: this.#globalLayers[layer] ?? -1 };
  }

  /** What a method gets to see of the place where it acts. */
  context(owner: Owner, layer: number, sequence: number, { options }: Partial<AttentionCall> = {}): LayerContext {
    const { start, seen, count, batch, positions, prompt } = this.rows(sequence);
    const { keyLength, keyBound = start + count / batch } = options ?? {};
    return {
      gpu: this.gpu,
      model: this.facts,
      layer,
      ...this.placeOf(layer),
      phase: this.#phase,
      step: this.#phase === 'denoise' ? this.step : undefined,
      sequence,
      batch,
      queryLength: count / batch,
      keyLength: typeof keyLength === 'number' ? keyLength : keyBound,
      start,
      seen,
      endsPrompt: this.endsPrompt,
      positions,
      spans: spansUpTo(prompt?.spans, seen),
      showsPattern: this.showsPattern(layer, sequence),
      indices: owner.indices.of(sequence),
      seed: this.seed,
      state: owner.state,
    };
  }

  /** Whether somebody observes or edits an activation. */
  watches(layer: number, kind: LayerActivation): boolean {
    return this.activations?.has(layer, kind) ?? false;
  }

  /** Whether somebody observes or edits the probability rows of a sequence: those of companions have no name. */
  showsPattern(layer: number, sequence: number): boolean {
    return sequence === 0 && this.watches(layer, 'attention.pattern');
  }

  /** Shows an activation to its observers and editors; returns what the model goes on with. */
  activation(layer: number, kind: LayerActivation | OuterActivation, value: Tensor): Tensor {
    if (!this.activations) return value;
    const { main } = this.running;
    const held = kind === 'logits' ? rowsWithLogits(value.shape[0] as number, main.count) : undefined;
    return this.activations.apply(layer, kind, value, main, this.#phase, held);
  }

  #seamsOf(phase: Phase): Seams {
    const known = this.#seamsByPhase.get(phase);
    if (known) return known;
    const seams = seamsIn(this.owners, phase);
    this.#seamsByPhase.set(phase, seams);
    return seams;
  }
}

/** For each layer its number among the global layers, or -1. */
function globalLayerIndices(facts: ModelFacts): number[] {
  let count = 0;
  return facts.layerKinds.map((kind) => (kind === 'global' ? count++ : -1));
}

/** Logits may be those of the last token alone, or of the last one of each sequence of a batch. */
function rowsWithLogits(rows: number, count: number): readonly number[] | undefined {
  return rows === count ? undefined : Array.from({ length: rows }, (_, row) => ((row + 1) * count) / rows - 1);
}
