import { ArgumentError } from '../errors.ts';
import { Tensor } from './tensor.ts';

/** Tensors that are freed together. */
export class Scope {
  readonly #tensors = new Set<Tensor>();

  add(tensor: Tensor): void {
    this.#tensors.add(tensor);
  }

  /** Whether the tensor was in here. */
  remove(tensor: Tensor): boolean {
    return this.#tensors.delete(tensor);
  }

  get size(): number {
    return this.#tensors.size;
  }

  /** Frees all tensors but those for which `keep` answers true; returns the kept ones. */
  close(keep: (tensor: Tensor) => boolean): Tensor[] {
    const kept: Tensor[] = [];
    for (const tensor of [...this.#tensors]) {
      if (keep(tensor)) kept.push(tensor);
      else tensor.dispose();
    }
    this.#tensors.clear();
    return kept;
  }
}

/** All tensors in a result: itself, or inside arrays and plain objects. Throws for promises: scopes are synchronous. */
export function tensorsIn(value: unknown, found: Set<Tensor> = new Set()): Set<Tensor> {
  if (value instanceof Tensor) found.add(value);
  else if (value instanceof Promise) {
    throw new ArgumentError('tidy: callback', 'a promise', 'a synchronous function (recording needs no await)');
  } else if (Array.isArray(value)) for (const item of value) tensorsIn(item, found);
  else if (typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === Object.prototype) {
    for (const item of Object.values(value)) tensorsIn(item, found);
  }
  return found;
}
