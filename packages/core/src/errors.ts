const marker = Symbol.for('saccade.error');

/**
 * Base class of every error that Saccade throws on purpose.
 *
 * `code` is stable and machine-readable; the message says what was given, what is allowed and what to do.
 * Use `SaccadeError.isInstance(error)` rather than `instanceof`: it also holds across two copies of the package.
 */
export class SaccadeError extends Error {
  readonly code: string;

  constructor(code: string, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = new.target.name;
    this.code = code;
    Object.defineProperty(this, marker, { value: true });
  }

  /** True for any Saccade error; called on a subclass, true for errors of that class (by name) only. */
  static isInstance<T extends SaccadeError>(
    this: (abstract new (...given: never[]) => T) & { readonly name: string },
    error: unknown,
  ): error is T {
    if (typeof error !== 'object' || error === null || !(marker in error)) return false;
    // biome-ignore lint/complexity/noThisInStatic: a subclass's isInstance tests for that subclass
    return this.name === 'SaccadeError' || error instanceof this || (error as { name?: unknown }).name === this.name;
  }
}

/** An argument is out of its range or of the wrong kind. */
export class ArgumentError extends SaccadeError {
  constructor(argument: string, given: unknown, allowed: string) {
    super('argument', `${argument}: got ${describe(given)}; allowed: ${allowed}.`);
  }
}

/** Shapes or element types of tensors do not fit together. */
export class ShapeError extends SaccadeError {
  constructor(operation: string, message: string) {
    super('shape', `${operation}: ${message}`);
  }
}

/** Something is larger than a limit of the device. */
export class LimitError extends SaccadeError {
  constructor(what: string, needed: number, limitName: string, limit: number) {
    super('limit', `${what} needs ${needed}, but the device's ${limitName} is ${limit}.`);
  }
}

/** A cache has no room for more tokens: make it larger (`capacity`, `grow`) or shorten the input. */
export class CapacityError extends SaccadeError {
  readonly capacity: number;
  readonly needed: number;

  constructor(capacity: number, needed: number) {
    super(
      'capacity',
      `The cache holds ${capacity} tokens; ${needed} are needed. Create it larger or call grow(${needed}).`,
    );
    this.capacity = capacity;
    this.needed = needed;
  }
}

/** No WebGPU implementation or no adapter was found. The message says what to install. */
export class AdapterNotFoundError extends SaccadeError {
  constructor(message: string, options?: { cause?: unknown }) {
    super('adapter-not-found', message, options);
  }
}

/** The GPU device was lost, or this `Gpu` was disposed. Open a new one with `openGpu()`. */
export class DeviceLostError extends SaccadeError {
  constructor(reason: string) {
    super('device-lost', `The GPU device is gone (${reason}). Its tensors are lost; open a new one with openGpu().`);
  }
}

/** An allocation does not fit into the byte budget or into device memory. */
export class OutOfMemoryError extends SaccadeError {
  constructor(message: string, options?: { cause?: unknown }) {
    super('out-of-memory', message, options);
  }
}

/** WebGPU refused a call: a defect in a kernel or launcher, never a user's mistake. */
export class GpuValidationError extends SaccadeError {
  constructor(message: string, options?: { cause?: unknown }) {
    super('gpu-validation', message, options);
  }
}

/** A disposed tensor, scope, cache or model was used. */
export class DisposedError extends SaccadeError {
  constructor(what: string) {
    super('disposed', `${what} was already disposed.`);
  }
}

/** `gpu.check` or the debug mode `check` found NaN or infinity. */
export class NonFiniteError extends SaccadeError {
  constructor(where: string) {
    super('non-finite', `${where} holds NaN or infinity.`);
  }
}

/** A model cannot give what a method requires, or two methods claim one seam. */
export class RefusedError extends SaccadeError {
  constructor(message: string) {
    super('refused', message);
  }
}

function describe(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value);
  if (typeof value === 'bigint') return `${value}n`;
  if (value === null || typeof value !== 'object') return String(value);
  try {
    return JSON.stringify(value) ?? String(value);
  } catch {
    return Object.prototype.toString.call(value);
  }
}
