import type { Tracked, Value } from '../autodiff/index.ts';
import { RefusedError } from '../errors.ts';
import type { Tensor } from '../tensor/tensor.ts';

/** A tensor that a module owns and an optimizer changes in place. */
export class Parameter {
  /** f32 where it is to be trained; of any dtype, also quantized, where it is frozen. */
  readonly tensor: Tensor;
  #trainable: boolean;
  #value: Value | undefined;

  /** Takes over the tensor: it leaves all scopes and lives until `dispose()`. */
  constructor(tensor: Tensor, options: { readonly trainable?: boolean } = {}) {
    this.tensor = tensor.gpu.keep(tensor);
    this.#trainable = options.trainable ?? tensor.dtype === 'f32';
  }

  /** Whether {@link moduleGradients} differentiates by it. @throws RefusedError when set for another dtype than f32 */
  get trainable(): boolean {
    return this.#trainable;
  }

  set trainable(trainable: boolean) {
    if (trainable && this.tensor.dtype !== 'f32') {
      throw new RefusedError(
        `A parameter of dtype ${this.tensor.dtype} cannot be trained; cast or dequantize it to f32.`,
      );
    }
    this.#trainable = trainable;
  }

  /** What modules compute with: the tensor, or inside of {@link moduleGradients} its tracked value. */
  get value(): Value {
    return this.#value ?? this.tensor;
  }

  /** Runs `work` with a tracked value in place of the tensor. @throws RefusedError inside of another such call */
  track<T>(tracked: Tracked, work: () => T): T {
    if (this.#value) throw new RefusedError('A parameter is already being differentiated by; calls do not nest.');
    return this.substitute(tracked, work);
  }

  /** Runs `work` with another value of the same shape in place of the present one. */
  substitute<T>(value: Value, work: () => T): T {
    const before = this.#value;
    this.#value = value;
    try {
      return work();
    } finally {
      this.#value = before;
    }
  }

  dispose(): void {
    this.tensor.dispose();
  }
}
