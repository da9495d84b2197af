import { Scope, tensorsIn } from '../tensor/scope.ts';
import type { Tensor } from '../tensor/tensor.ts';

/** What a garbage-collected tensor leaves behind. */
interface Leak extends Pick<Tensor, 'storage' | 'dtype' | 'shape'> {
  readonly warn: (line: string) => void;
}

const finalizers = new FinalizationRegistry<Leak>(({ storage, dtype, shape, warn }) => {
  warn(`saccade: tensor ${dtype}[${shape}] was garbage-collected without dispose(); its memory is freed now.`);
  storage.release();
});

/** Who frees which tensor: the innermost scope, `dispose()`, or the garbage collector, which is reported. */
export class Lifetimes {
  readonly #scopes: Scope[] = [];
  readonly #warn: (line: string) => void;

  /** `warn`: told of each tensor that nobody freed. */
  constructor(warn: (line: string) => void) {
    this.#warn = warn;
  }

  /** Runs `work` and frees the tensors made in it but those that it returns, which go to the scope around it. */
  tidy<T>(work: () => T): T {
    const scope = new Scope();
    this.#scopes.push(scope);
    let keep = new Set<Tensor>();
    try {
      const result = work();
      keep = tensorsIn(result);
      return result;
    } finally {
      this.#scopes.pop();
      const outer = this.#scopes.at(-1);
      for (const tensor of scope.close((candidate) => keep.has(candidate))) {
        if (outer) outer.add(tensor);
        else this.#guard(tensor);
      }
    }
  }

  /** Takes a tensor out of the scopes. */
  keep(tensor: Tensor): void {
    if (this.#leaveScope(tensor)) this.#guard(tensor);
  }

  /** Of a tensor that was made. */
  track(tensor: Tensor): void {
    const scope = this.#scopes.at(-1);
    if (scope) scope.add(tensor);
    else this.#guard(tensor);
  }

  /** Of a tensor that was disposed. */
  untrack(tensor: Tensor): void {
    if (!this.#leaveScope(tensor)) finalizers.unregister(tensor);
  }

  #leaveScope(tensor: Tensor): boolean {
    return this.#scopes.some((scope) => scope.remove(tensor));
  }

  /** Frees and reports a tensor that is garbage-collected. Those in a scope need it not: the scope holds them. */
  #guard(tensor: Tensor): void {
    const { storage, dtype, shape } = tensor;
    finalizers.register(tensor, { storage, dtype, shape, warn: this.#warn }, tensor);
  }
}
