/** No adapter of the wanted kind is there. The message lists what was tried and says what to do. */
export class AdapterUnavailableError extends Error {
  override readonly name = 'AdapterUnavailableError';
  readonly code = 'adapter-unavailable';

  /** Also true for an error of another copy of this package. */
  static isInstance(error: unknown): error is AdapterUnavailableError {
    return error instanceof Error && (error as { code?: unknown }).code === 'adapter-unavailable';
  }
}

/** A software driver could not be brought into the cache folder. */
export class DriverSetupError extends Error {
  override readonly name = 'DriverSetupError';
  readonly code = 'driver-setup';
}
