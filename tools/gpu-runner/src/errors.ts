const marker = Symbol.for('saccade.error');

/**
 * Base class of this package's errors. It carries the same mark as the errors of `@saccade/core`, which this package does
 * not depend on, so that `SaccadeError.isInstance` knows them too.
 */
export class GpuRunnerError extends Error {
  /** The class's name, written out because minifiers change the other one. */
  static readonly typeName: string = 'GpuRunnerError';
  /** Stable and machine-readable. */
  readonly code: string;

  constructor(code: string, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = new.target.typeName;
    this.code = code;
    Object.defineProperty(this, marker, { value: [new.target.typeName, 'GpuRunnerError', 'SaccadeError'] });
  }

  /** Whether a value is an error of this class or of a subclass, made by this copy of the package or by another one. */
  static isInstance<T extends GpuRunnerError>(
    this: (abstract new (...given: never[]) => T) & { readonly typeName: string },
    error: unknown,
  ): error is T {
    if (typeof error !== 'object' || error === null) return false;
    const names: unknown = Reflect.get(error, marker);
    // biome-ignore lint/complexity/noThisInStatic: a subclass's isInstance tests for that subclass
    return Array.isArray(names) && names.includes(this.typeName);
  }
}

/** No adapter of the wanted kind is there: the message lists what was tried and says what to do. */
export class AdapterUnavailableError extends GpuRunnerError {
  static override readonly typeName: string = 'AdapterUnavailableError';

  constructor(message: string) {
    super('adapter-unavailable', message);
  }
}

/**
 * A software driver could not be brought into the cache folder: the message says which step failed. Install a Vulkan driver
 * with the system's package manager instead, or run `saccade-gpu setup --system` as root.
 */
export class DriverSetupError extends GpuRunnerError {
  static override readonly typeName: string = 'DriverSetupError';

  constructor(message: string) {
    super('driver-setup', message);
  }
}
