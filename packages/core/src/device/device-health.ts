import { waitForGpu } from '#provider';
import { DeviceLostError, GpuValidationError, OutOfMemoryError, type SaccadeError } from '../errors.ts';

/** How long a failure waits for news that the device is lost, in milliseconds. */
const lossDelay = 100;

function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

/** What has gone wrong on a device: errors that nobody awaited, and its loss. */
export class DeviceHealth {
  #failure: SaccadeError | undefined;
  #lost: DeviceLostError | undefined;
  readonly #lostSignal: Promise<never>;
  readonly #software: boolean;

  /** `software`: whether the device computes on the processor that would wait for it. */
  constructor(device: GPUDevice, software: boolean) {
    this.#software = software;
    device.addEventListener('uncapturederror', (event) => {
      event.preventDefault();
      this.fail((event as GPUUncapturedErrorEvent).error);
    });
    this.#lostSignal = device.lost.then((info) => {
      this.lose(info.reason === 'destroyed' ? 'destroyed' : info.message || 'unknown reason');
      throw this.#lost;
    });
    this.#lostSignal.catch(() => undefined);
  }

  get alive(): boolean {
    return this.#lost === undefined;
  }

  get lost(): DeviceLostError | undefined {
    return this.#lost;
  }

  /** The first reason counts. */
  lose(reason: string): void {
    this.#lost ??= new DeviceLostError(reason);
  }

  /** Remembers an error of the device until {@link assertUsable} throws it. */
  fail(error: GPUError): void {
    const outOfMemory = typeof GPUOutOfMemoryError !== 'undefined' && error instanceof GPUOutOfMemoryError;
    this.#failure ??= outOfMemory
      ? new OutOfMemoryError(
          `The device is out of memory: ${error.message} Dispose what is no longer needed, or use a shorter context or smaller weights.`,
          { cause: error },
        )
      : new GpuValidationError(error.message, { cause: error });
  }

  /** @throws DeviceLostError once the device is lost; else the error that came up since the last call. */
  assertUsable(): void {
    if (this.#lost) throw this.#lost;
    if (this.#failure) {
      const failure = this.#failure;
      this.#failure = undefined;
      throw failure;
    }
  }

  /** Waits for the queue, or until the device is lost. */
  wait(pending: Promise<undefined>): Promise<undefined> {
    return waitForGpu(this.orLost(pending), this.#software);
  }

  /** The outcome of something that the device does; once the device is lost, its {@link DeviceLostError}. */
  async orLost<T>(pending: Promise<T>): Promise<T> {
    try {
      return await Promise.race([pending, this.#lostSignal]);
    } catch (cause) {
      // The loss may be told later than what it made fail, in browsers from another process.
      await Promise.race([this.#lostSignal.catch(() => undefined), pause(lossDelay)]);
      throw this.#lost ?? cause;
    }
  }
}
