import type { Gpu } from '../device/gpu.ts';
import { ArgumentError, RefusedError } from '../errors.ts';
import type { MethodState, Phase } from './contexts.ts';
import { IndexStore } from './index-store.ts';
import type { Method } from './method.ts';
import type { LayerKind } from './model-handle.ts';

/** A method of a run with what it keeps there. */
export interface Owner {
  readonly method: Method;
  readonly state: MethodState;
  readonly indices: SequenceIndices;
}

/** An index store for each sequence of a run, made when it is asked for. */
export class SequenceIndices {
  readonly #gpu: Gpu;
  readonly #kinds: readonly LayerKind[];
  readonly #stores: IndexStore[] = [];

  constructor(gpu: Gpu, kinds: readonly LayerKind[]) {
    this.#gpu = gpu;
    this.#kinds = kinds;
  }

  of(sequence: number): IndexStore {
    this.#stores[sequence] ??= new IndexStore(this.#gpu, this.#kinds);
    return this.#stores[sequence];
  }

  /** Forgets the lists of a pass; `everything` also those that last. */
  clear(everything = false): void {
    for (const store of this.#stores) store?.clear(everything);
  }
}

/** Frees what a method kept in a run. */
export function disposeOwner({ state, indices }: Owner): void {
  indices.clear(true);
  (state as { dispose?: () => void }).dispose?.();
}

/** Seams whose effects do not compose. */
const exclusiveSeams = ['createCache', 'mask', 'selectTokens', 'selectHeads', 'schedule'] as const;

/** Who fills the seams of a pass in one phase, in order of composition. */
export interface Seams {
  readonly layer: readonly Owner[];
  readonly beforeRope: readonly Owner[];
  readonly afterRope: readonly Owner[];
  readonly mask: Owner | undefined;
  readonly needs: readonly Owner[];
  readonly attend: readonly Owner[];
  /** Whether any of the seams is filled through which attention runs. */
  readonly attends: boolean;
  readonly afterAttention: readonly Owner[];
  readonly selectHeads: Owner | undefined;
  readonly selectTokens: Owner | undefined;
  readonly processLogits: readonly Owner[];
}

/**
 * @throws ArgumentError for what is no method, such as a method's options; RefusedError when two methods fill a seam that
 *   has one owner: names both.
 */
export function checkOwners(methods: readonly Method[]): void {
  for (const method of methods) {
    if (typeof method?.name !== 'string' || !Array.isArray(method.phases)) {
      throw new ArgumentError(
        'method',
        method,
        'a method, as the function of its package makes it, or a list of methods',
      );
    }
  }
  for (const seam of exclusiveSeams) {
    const [first, second] = methods.filter((method) => method[seam] !== undefined);
    if (first && second) {
      throw new RefusedError(
        `${first.name} and ${second.name} cannot run together: both own ${seam}, which takes one method.`,
      );
    }
  }
}

/** The seams of those owners that act in a phase. */
export function seamsIn(owners: readonly Owner[], phase: Phase): Seams {
  const active = owners.filter(({ method }) => method.phases.includes(phase));
  const filling = (fills: (method: Method) => unknown) => active.filter(({ method }) => fills(method) !== undefined);
  const seams = {
    layer: filling((method) => method.layer),
    beforeRope: filling((method) => method.transformQKV?.beforeRope),
    afterRope: filling((method) => method.transformQKV?.afterRope),
    mask: filling((method) => method.mask)[0],
    needs: filling((method) => method.needs),
    attend: filling((method) => method.attend),
    afterAttention: filling((method) => method.afterAttention),
    selectHeads: filling((method) => method.selectHeads)[0],
    selectTokens: filling((method) => method.selectTokens)[0],
    processLogits: filling((method) => method.processLogits),
  };
  const { mask, needs, attend, selectHeads } = seams;
  const attends = mask !== undefined || selectHeads !== undefined || needs.length > 0 || attend.length > 0;
  return { ...seams, attends };
}

/** For sequences that run as the model alone would. */
export const noSeams: Seams = seamsIn([], 'prefill');
