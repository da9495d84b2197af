/** Staging buffers for reading, by power-of-two size. */
export class StagingPool {
  created = 0;
  readonly #device: GPUDevice;
  readonly #free = new Map<number, GPUBuffer[]>();

  constructor(device: GPUDevice) {
    this.#device = device;
  }

  acquire(bytes: number): GPUBuffer {
    const size = 2 ** Math.ceil(Math.log2(Math.max(bytes, 256)));
    const free = this.#free.get(size)?.pop();
    if (free) return free;
    this.created++;
    return this.#device.createBuffer({ size, usage: GPUBufferUsage.COPY_DST | GPUBufferUsage.MAP_READ });
  }

  /** Keeps small buffers for the next read; large ones would only hold memory. */
  release(buffer: GPUBuffer): void {
    const list = this.#free.get(buffer.size) ?? [];
    if (buffer.size > 2 ** 22 || list.length >= 8) {
      buffer.destroy();
      return;
    }
    list.push(buffer);
    this.#free.set(buffer.size, list);
  }
}
