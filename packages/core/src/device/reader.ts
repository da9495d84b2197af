import { GpuValidationError } from '../errors.ts';
import type { HostArray } from '../tensor/dtype.ts';
import type { Tensor } from '../tensor/tensor.ts';
import type { DeviceHealth } from './device-health.ts';
import { planRead } from './plan-read.ts';
import type { Recorder } from './recorder.ts';
import { StagingPool } from './staging-pool.ts';

/** Brings tensors to the host. */
export class Reader {
  readbacks = 0;
  readonly #recorder: Recorder;
  readonly #health: DeviceHealth;
  readonly #staging: StagingPool;

  constructor(device: GPUDevice, recorder: Recorder, health: DeviceHealth) {
    this.#recorder = recorder;
    this.#health = health;
    this.#staging = new StagingPool(device);
  }

  get buffersCreated(): number {
    return this.#staging.created;
  }

  /** Reads tensors together: one submission, one wait. */
  async read(tensors: readonly Tensor[]): Promise<HostArray[]> {
    const plans = tensors.map(planRead);
    const total = plans.reduce((sum, { bytes }) => sum + stagingBytes(bytes), 0);
    const staging = this.#staging.acquire(total);
    let place = 0;
    for (const { copies, bytes } of plans) {
      let target = place;
      for (const copy of copies) {
        if (copy.bytes > 0) this.#recorder.copy(copy.buffer.buffer, copy.offset, staging, target, copy.bytes);
        target += copy.bytes;
      }
      place += stagingBytes(bytes);
    }
    this.#recorder.submit();
    this.readbacks++;
    const mapped = await this.#map(staging, Math.max(total, 4));
    place = 0;
    const results = plans.map(({ bytes, decode }) => {
      const at = place;
      place += stagingBytes(bytes);
      return decode(mapped.slice(at, at + bytes));
    });
    staging.unmap();
    this.#staging.release(staging);
    return results;
  }

  /** Waits for a staging buffer. One that cannot be mapped is given up. */
  async #map(staging: GPUBuffer, bytes: number): Promise<ArrayBuffer> {
    try {
      await this.#health.wait(staging.mapAsync(GPUMapMode.READ, 0, bytes));
      return staging.getMappedRange(0, bytes);
    } catch (cause) {
      staging.destroy();
      throw this.#health.lost ?? new GpuValidationError(`Reading back failed: ${(cause as Error).message}`, { cause });
    }
  }
}

/** Room of a read in the staging buffer, where the next one starts aligned. */
function stagingBytes(bytes: number): number {
  return Math.ceil(bytes / 8) * 8;
}
