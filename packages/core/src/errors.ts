const marker = Symbol.for('saccade.error');

/**
 * Base class of every error that Saccade throws on purpose.
 *
 * `code` is stable and machine-readable; the message says what was given, what is allowed and what to do.
 * Use `SaccadeError.isInstance(error)` rather than `instanceof`: it also holds across two copies of the package, minified or not.
 */
export class SaccadeError extends Error {
  /** The class's name, written out because minifiers change the other one. Every subclass declares its own. */
  static readonly typeName: string = 'SaccadeError';
  readonly code: string;

  constructor(code: string, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = typeName(new.target);
    this.code = code;
    Object.defineProperty(this, marker, { value: typeNames(new.target) });
  }

  /**
   * Whether a value is an error of this class or of a subclass, made by this copy of the package or by another one.
   * `SaccadeError.isInstance` also knows the errors of `@saccade/gpu-runner`.
   */
  static isInstance<T extends SaccadeError>(this: abstract new (...given: never[]) => T, error: unknown): error is T {
    if (typeof error !== 'object' || error === null) return false;
    const names: unknown = Reflect.get(error, marker);
    // biome-ignore lint/complexity/noThisInStatic: a subclass's isInstance tests for that subclass
    return Array.isArray(names) && names.includes(typeName(this));
  }
}

/** A class without a name of its own, such as one that an application derives, goes by its `name`. */
function typeName(type: abstract new (...given: never[]) => unknown): string {
  return Object.hasOwn(type, 'typeName') ? (type as typeof SaccadeError).typeName : type.name;
}

/** Names of a class and of those that it extends, up to SaccadeError. */
function typeNames(type: typeof SaccadeError): string[] {
  const parent: unknown = Object.getPrototypeOf(type);
  return parent === Error ? [typeName(type)] : [typeName(type), ...typeNames(parent as typeof SaccadeError)];
}

/** An argument is out of its range or of the wrong kind: give one of the values that the message allows. */
export class ArgumentError extends SaccadeError {
  static override readonly typeName: string = 'ArgumentError';

  constructor(argument: string, given: unknown, allowed: string) {
    super('argument', `${argument}: got ${describe(given)}; allowed: ${allowed}.`);
  }
}

/** Shapes or element types of tensors do not fit together: the message has them and what the operation needs. */
export class ShapeError extends SaccadeError {
  static override readonly typeName: string = 'ShapeError';

  constructor(operation: string, message: string) {
    super('shape', `${operation}: ${message}`);
  }
}

/**
 * Something is larger than a limit of the device: make it smaller (a shorter context, fewer rows), or use an adapter with a
 * higher limit.
 */
export class LimitError extends SaccadeError {
  static override readonly typeName: string = 'LimitError';

  constructor(what: string, needed: number, limitName: string, limit: number) {
    super(
      'limit',
      `${what} needs ${needed}, but the device's ${limitName} is ${limit}. Make it smaller, or use another adapter.`,
    );
  }
}

/** A cache has no room for more tokens: make it larger (`capacity`, `grow`) or shorten the input. */
export class CapacityError extends SaccadeError {
  static override readonly typeName: string = 'CapacityError';
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

/** No WebGPU implementation or no adapter was found: install what the message names. */
export class AdapterNotFoundError extends SaccadeError {
  static override readonly typeName: string = 'AdapterNotFoundError';

  constructor(message: string, options?: { cause?: unknown }) {
    super('adapter-not-found', message, options);
  }
}

/** The GPU device was lost, or this `Gpu` was disposed: open a new one with `openGpu()` and load again. */
export class DeviceLostError extends SaccadeError {
  static override readonly typeName: string = 'DeviceLostError';

  constructor(reason: string) {
    super('device-lost', `The GPU device is gone (${reason}). Its tensors are lost; open a new one with openGpu().`);
  }
}

/**
 * An allocation does not fit into the byte budget (`openGpu({ maxBytes })`) or into device memory: dispose what is no longer
 * needed, or use a shorter context or smaller weights. What lives already stays usable.
 */
export class OutOfMemoryError extends SaccadeError {
  static override readonly typeName: string = 'OutOfMemoryError';

  constructor(message: string, options?: { cause?: unknown }) {
    super('out-of-memory', message, options);
  }
}

/**
 * WebGPU refused a call: a defect in a kernel or its launcher, never a user's mistake. Please report it;
 * `openGpu({ debug: 'dispatch' })` shows the launches.
 */
export class GpuValidationError extends SaccadeError {
  static override readonly typeName: string = 'GpuValidationError';

  constructor(message: string, options?: { cause?: unknown }) {
    super('gpu-validation', message, options);
  }
}

/** A disposed tensor, scope, cache or model was used: dispose it later, or hold an `alias()`, `fork()` or `gpu.keep()` of it. */
export class DisposedError extends SaccadeError {
  static override readonly typeName: string = 'DisposedError';

  constructor(what: string) {
    super('disposed', `${what} was already disposed. Dispose it later, or hold an alias or a fork of it.`);
  }
}

/** `gpu.check` or the debug mode `check` found NaN or infinity: look at the inputs of the launch or tensor that it names. */
export class NonFiniteError extends SaccadeError {
  static override readonly typeName: string = 'NonFiniteError';

  constructor(where: string) {
    super('non-finite', `${where} holds NaN or infinity.`);
  }
}

/**
 * Training met NaN or infinity. Parameters are as they were before that step: lower the learning rate, clip gradients, or look at
 * the data of the step.
 */
export class DivergedError extends SaccadeError {
  static override readonly typeName: string = 'DivergedError';
  /** Counted from 0. */
  readonly step: number;
  /** The first tensor that holds NaN or infinity, such as `parameter fc1.weight`. */
  readonly tensor: string;

  constructor(step: number, tensor: string) {
    super('diverged', `Training stopped at step ${step}: ${tensor} holds NaN or infinity.`);
    this.step = step;
    this.tensor = tensor;
  }
}

/** A model cannot give what a method requires, or two methods claim one seam: choose another model or method. */
export class RefusedError extends SaccadeError {
  static override readonly typeName: string = 'RefusedError';

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
