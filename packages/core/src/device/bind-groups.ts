import type { PooledBuffer } from './buffer-pool.ts';
import type { Pipeline } from './pipelines.ts';

/** A range of a storage buffer, in bytes. */
export interface BufferRange {
  readonly buffer: PooledBuffer;
  readonly offset: number;
  readonly bytes: number;
}

/**
 * Bind groups by content. A decode step binds the same buffers as the step before it (the pool hands them out in the
 * same order), so in steady state none is created.
 */
export class BindGroupCache {
  created = 0;
  readonly #device: GPUDevice;
  readonly #uniforms: GPUBuffer;
  readonly #groups = new Map<string, GPUBindGroup>();
  readonly #keysByBuffer = new Map<number, Set<string>>();
  readonly #capacity: number;

  constructor(device: GPUDevice, uniforms: GPUBuffer, capacity = 16_384) {
    this.#device = device;
    this.#uniforms = uniforms;
    this.#capacity = capacity;
  }

  get(pipeline: Pipeline, ranges: readonly BufferRange[]): GPUBindGroup {
    let key = `${pipeline.id}`;
    for (const range of ranges) key += `,${range.buffer.id}:${range.offset}:${range.bytes}`;
    const cached = this.#groups.get(key);
    if (cached) return cached;
    if (this.#groups.size >= this.#capacity) this.#clear();
    const group = this.#device.createBindGroup({
      layout: pipeline.layout,
      entries: [
        { binding: 0, resource: { buffer: this.#uniforms, size: 256 } },
        ...ranges.map((range, index) => ({
          binding: index + 1,
          resource: { buffer: range.buffer.buffer, offset: range.offset, size: range.bytes },
        })),
      ],
    });
    this.created++;
    this.#groups.set(key, group);
    for (const { buffer } of ranges) {
      const keys = this.#keysByBuffer.get(buffer.id);
      if (keys) keys.add(key);
      else this.#keysByBuffer.set(buffer.id, new Set([key]));
    }
    return group;
  }

  /** Drops the groups that hold a destroyed buffer. */
  forget(buffer: PooledBuffer): void {
    for (const key of this.#keysByBuffer.get(buffer.id) ?? []) this.#groups.delete(key);
    this.#keysByBuffer.delete(buffer.id);
  }

  #clear(): void {
    this.#groups.clear();
    this.#keysByBuffer.clear();
  }
}
