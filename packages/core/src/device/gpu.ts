import { waitForGpu } from '#provider';
import {
  ArgumentError,
  DeviceLostError,
  GpuValidationError,
  LimitError,
  NonFiniteError,
  OutOfMemoryError,
  RefusedError,
  type SaccadeError,
  ShapeError,
} from '../errors.ts';
import { type KernelDefinition, parametersOf, rangeParameters, type Variant, variantKey } from '../kernels/kernel.ts';
import { Profile } from '../profiling/profile.ts';
import type { KernelTiming } from '../profiling/profiler.ts';
import { TimestampProfiler } from '../profiling/timestamp-profiler.ts';
import { WallProfiler } from '../profiling/wall-profiler.ts';
import {
  bytesPerElement,
  type Dtype,
  encodeElements,
  type HostArray,
  isQuantized,
  type PlainDtype,
  plainBytes,
} from '../tensor/dtype.ts';
import { quantizedBytes } from '../tensor/quantized.ts';
import { Scope, tensorsIn } from '../tensor/scope.ts';
import { checkShape, elementCount, type Shape } from '../tensor/shape.ts';
import { Storage, type StoragePiece } from '../tensor/storage.ts';
import { Tensor } from '../tensor/tensor.ts';
import { BindGroupCache, type BufferRange } from './bind-groups.ts';
import { BufferPool, type PooledBuffer } from './buffer-pool.ts';
import type { AdapterFacts, Capabilities } from './capabilities.ts';
import { DebugChecks } from './debug-checks.ts';
import { PipelineCache } from './pipelines.ts';
import { planRead } from './plan-read.ts';
import { StagingPool } from './readback.ts';
import { Recorder } from './recorder.ts';
import { defaultMaxDispatchFlops, workgroupsPerDispatch } from './work-bound.ts';

/** What to print or check while ops run. `check` finds NaN and infinity and names the first op that made one. */
export type DebugLevel = 'off' | 'dispatch' | 'wgsl' | 'check';

export interface GpuOptions {
  /** Budget for live tensors, in bytes; beyond it allocations throw {@link OutOfMemoryError}. Default: no limit. */
  readonly maxBytes?: number;
  /** Most bytes of freed buffers kept for reuse. Default 512 MiB. */
  readonly maxPooledBytes?: number;
  /**
   * Most FLOPs of one dispatch, and of one submission: a launch that declares more is recorded as several dispatches over
   * ranges of its workgroups, with the same result. Keeps a long context from running into the watchdog that resets a GPU
   * after about 2 s. Default: what the slowest device of the adapter's class does in 0.5 s, which is 5e11 (NVIDIA since
   * Ampere), 2.5e11 (other NVIDIA, Apple, Radeon RX and Pro, Arc) or 5e10 (all others); no limit on software adapters. On
   * a device that is known to be faster, more keeps it fuller at very long contexts.
   */
  readonly maxDispatchFlops?: number;
  /** Default `off`. */
  readonly debug?: DebugLevel;
  /** Where debug lines go. Default: `console.error`. */
  readonly log?: (line: string) => void;
  /** For tests: every allocation is filled with NaN, so that reading memory nobody wrote shows. */
  readonly poison?: boolean;
}

/** Counters since the device was opened. */
export interface GpuStats {
  /** Bytes of tensors that are alive. */
  readonly liveBytes: number;
  readonly peakBytes: number;
  /** Bytes of freed buffers that wait for reuse. */
  readonly pooledBytes: number;
  readonly buffersCreated: number;
  readonly bindGroupsCreated: number;
  readonly pipelinesCreated: number;
  readonly dispatches: number;
  readonly submits: number;
  readonly readbacks: number;
}

/** A binding of a launch: a whole tensor, or a byte range of one of its pieces. */
export type LaunchBinding = Tensor | BufferRange;

export interface Launch {
  /** In the order of the kernel's bindings. Tensors must be contiguous. */
  readonly bindings: readonly LaunchBinding[];
  /** In the order of the kernel's parameters. */
  readonly parameters?: readonly number[];
  /** Number of workgroups; folded into two dimensions where a device limit asks for it. 0 launches nothing. */
  readonly workgroups: number;
  /** Declared work, for the profiler and for the bound on a dispatch. Assumed to be spread evenly over the workgroups. */
  readonly cost?: KernelTiming;
}

/** What a garbage-collected tensor leaves behind. */
interface Leak extends Pick<Tensor, 'storage' | 'dtype' | 'shape'> {
  readonly warn: (line: string) => void;
}

const finalizers = new FinalizationRegistry<Leak>(({ storage, dtype, shape, warn }) => {
  warn(`saccade: tensor ${dtype}[${shape}] was garbage-collected without dispose(); its memory is freed now.`);
  storage.release();
});

/** Work that is recorded without being done. */
interface DryRun {
  /** Where memory is counted instead of allocated. */
  readonly pool: BufferPool;
  /** Compile the pipelines that the work would use, by their keys. */
  readonly pipelines: Map<string, () => Promise<void>>;
}

/** Owns a GPUDevice: memory, pipelines, the command stream and the errors of everything that runs on it. */
export class Gpu {
  readonly device: GPUDevice;
  readonly capabilities: Capabilities;
  readonly adapter: AdapterFacts;
  /** Most FLOPs of a dispatch and of a submission, see {@link GpuOptions.maxDispatchFlops}. */
  readonly maxDispatchFlops: number;
  readonly #options: GpuOptions;
  readonly #pool: BufferPool;
  readonly #recorder: Recorder;
  readonly #pipelines: PipelineCache;
  readonly #groups: BindGroupCache;
  readonly #staging: StagingPool;
  readonly #checks: DebugChecks | undefined;
  readonly #scopes: Scope[] = [];
  readonly #log: (line: string) => void;
  /** Of a leak; a device that is gone took its memory along. */
  readonly #warn = (line: string) => {
    if (this.alive) this.#log(line);
  };
  #dry: DryRun | undefined;
  #failure: SaccadeError | undefined;
  #lost: DeviceLostError | undefined;
  readonly #lostSignal: Promise<never>;
  #readbacks = 0;
  #dispatchSerial = 0;

  /**
   * Use {@link openGpu} or {@link gpuFromDevice}.
   *
   * @throws ArgumentError when `maxDispatchFlops` is not positive
   */
  constructor(device: GPUDevice, capabilities: Capabilities, adapter: AdapterFacts, options: GpuOptions = {}) {
    this.device = device;
    this.capabilities = capabilities;
    this.adapter = adapter;
    this.#options = options;
    this.#log = options.log ?? ((line) => console.error(line));
    this.maxDispatchFlops = options.maxDispatchFlops ?? defaultMaxDispatchFlops(capabilities, adapter);
    if (!(this.maxDispatchFlops > 0)) {
      throw new ArgumentError('openGpu: maxDispatchFlops', this.maxDispatchFlops, 'a number above 0');
    }
    this.#recorder = new Recorder(device, this.maxDispatchFlops, (error) => this.#fail(error));
    this.#groups = new BindGroupCache(device, this.#recorder.uniforms);
    this.#pool = new BufferPool(
      device,
      capabilities.maxBufferSize,
      { maxBytes: options.maxBytes ?? Number.POSITIVE_INFINITY, maxPooledBytes: options.maxPooledBytes ?? 2 ** 29 },
      (buffer) => {
        this.#groups.forget(buffer);
        // A buffer must outlive the commands that use it.
        if (buffer.lastUse === this.#recorder.current) this.#recorder.submit();
      },
    );
    const logWgsl =
      options.debug === 'wgsl' ? (key: string, code: string) => this.#log(`// ${key}\n${code}`) : undefined;
    this.#pipelines = new PipelineCache(device, capabilities, logWgsl);
    this.#staging = new StagingPool(device);
    this.#checks = options.debug === 'check' ? new DebugChecks(this) : undefined;
    device.addEventListener('uncapturederror', (event) => {
      event.preventDefault();
      this.#fail((event as GPUUncapturedErrorEvent).error);
    });
    this.#lostSignal = device.lost.then((info) => {
      this.#lost ??= new DeviceLostError(info.reason === 'destroyed' ? 'destroyed' : info.message || 'unknown reason');
      throw this.#lost;
    });
    this.#lostSignal.catch(() => undefined);
  }

  /** Whether the device still works. */
  get alive(): boolean {
    return this.#lost === undefined;
  }

  stats(): GpuStats {
    return {
      liveBytes: this.#pool.liveBytes,
      peakBytes: this.#pool.peakBytes,
      pooledBytes: this.#pool.pooledBytes,
      buffersCreated: this.#pool.created + this.#staging.created,
      bindGroupsCreated: this.#groups.created,
      pipelinesCreated: this.#pipelines.created,
      dispatches: this.#recorder.dispatches,
      submits: this.#recorder.submits,
      readbacks: this.#readbacks,
    };
  }

  /** Starts the peak of `stats().peakBytes` anew at the bytes that live now. */
  resetPeak(): void {
    this.#pool.peakBytes = this.#pool.liveBytes;
  }

  // --- making tensors ---

  /** A tensor whose content is undefined until a kernel writes it. Split along axis 0 when over the binding limit. */
  empty(shape: Shape, dtype: Dtype = 'f32'): Tensor {
    this.#assertUsable();
    checkShape('shape', shape);
    return new Tensor(this, this.#allocate(shape, dtype), dtype, [...shape]);
  }

  /** A tensor of zeros (plain dtypes). */
  zeros(shape: Shape, dtype: PlainDtype = 'f32'): Tensor {
    const tensor = this.empty(shape, dtype);
    for (const { buffer } of tensor.storage.pieces) this.#fillWithZeros(buffer);
    return tensor;
  }

  /** A tensor of host numbers, row-major; converted to `dtype`. A bare array makes a vector. */
  tensor(data: ArrayLike<number>, shape: Shape = [data.length], dtype: PlainDtype = 'f32'): Tensor {
    checkShape('shape', shape);
    if (data.length !== elementCount(shape)) {
      throw new ShapeError('tensor', `${data.length} numbers do not fill the shape [${shape}].`);
    }
    return this.fromBytes(encodeElements(data, dtype), shape, dtype);
  }

  /** A tensor of raw little-endian bytes in `dtype`. For quantized types see `quantizedTensor`. */
  fromBytes(bytes: Uint8Array, shape: Shape, dtype: PlainDtype): Tensor {
    checkShape('shape', shape);
    const expected = elementCount(shape) * bytesPerElement[dtype];
    if (bytes.byteLength !== expected && bytes.byteLength !== plainBytes(dtype, elementCount(shape))) {
      throw new ShapeError('fromBytes', `${bytes.byteLength} bytes are not ${dtype}[${shape}] (${expected} bytes).`);
    }
    return this.tidy(() => {
      const tensor = this.empty(shape, dtype);
      const rowBytes = expected / Math.max(shape[0] ?? 1, 1);
      for (const piece of tensor.storage.pieces) {
        const start = piece.rowStart * rowBytes;
        this.write(
          { buffer: piece.buffer, offset: 0, bytes: piece.buffer.bytes },
          bytes.subarray(start, start + piece.rows * rowBytes),
        );
      }
      return tensor;
    });
  }

  /** Uploads bytes into a buffer range, after everything recorded so far. For launchers and loaders. */
  write(range: BufferRange, bytes: Uint8Array): void {
    this.#assertUsable();
    if (this.#dry) return;
    if (range.buffer.lastUse === this.#recorder.current) this.#recorder.submit();
    const whole = bytes.byteLength & ~3;
    const chunk = 2 ** 24;
    for (let at = 0; at < whole; at += chunk) {
      const size = Math.min(chunk, whole - at);
      this.device.queue.writeBuffer(range.buffer.buffer, range.offset + at, bytes, at, size);
    }
    if (whole < bytes.byteLength) {
      const tail = new Uint8Array(4);
      tail.set(bytes.subarray(whole));
      this.device.queue.writeBuffer(range.buffer.buffer, range.offset + whole, tail);
    }
  }

  // --- running kernels ---

  /** Records a kernel: one dispatch, or several if it declares more than `maxDispatchFlops`. Outputs are bound like inputs; nothing is read back. */
  launch<V extends Variant>(kernel: KernelDefinition<V>, variant: V, launch: Launch): void {
    this.#assertUsable();
    if (launch.workgroups === 0) return;
    const parameters = launch.parameters ?? [];
    const declared = parametersOf(kernel, variant);
    if (parameters.length !== declared.length) {
      throw new ShapeError(kernel.name, `${parameters.length} parameters for ${declared.length}.`);
    }
    const ranges = launch.bindings.map((binding) =>
      binding instanceof Tensor ? this.range(binding, kernel.name) : binding,
    );
    if (this.#dry) {
      this.#dry.pipelines.set(variantKey(kernel.name, variant), async () => {
        if (await this.#pipelines.prepare(kernel, variant)) this.#touch(kernel, variant);
      });
      return;
    }
    const pipeline = this.#pipelines.get(kernel, variant);
    const group = this.#groups.get(pipeline, ranges);
    const { workgroups, cost } = launch;
    const perDispatch = workgroupsPerDispatch(workgroups, cost?.flops ?? 0, this.maxDispatchFlops);
    for (let first = 0; first < workgroups; first += perDispatch) {
      const end = Math.min(first + perDispatch, workgroups);
      const share = (end - first) / workgroups;
      const work = cost && { flops: cost.flops * share, bytes: cost.bytes * share };
      const slot = this.#recorder.parameters(work?.flops);
      const [x, y] = this.#grid(end - first);
      slot.setWorkgroups(first, end);
      for (let index = 0; index < declared.length; index++) {
        const value = parameters[index] as number;
        if (declared[index]?.[1] === 'f32') slot.setFloat(index + rangeParameters, value);
        else slot.setUnsigned(index + rangeParameters, value);
      }
      // In each turn: reserving the slot may have begun another submission.
      for (const range of ranges) range.buffer.lastUse = this.#recorder.current;
      this.#recorder.dispatch(kernel.name, pipeline.pipeline, group, slot.offset, x, y, work);
    }
    this.#dispatchSerial++;
    if (this.#options.debug === 'dispatch') {
      this.#log(
        `${this.#dispatchSerial} ${kernel.name} ${JSON.stringify(variant)} workgroups=${launch.workgroups} [${parameters}]`,
      );
    }
    this.#checks?.afterLaunch(kernel, variant, launch);
  }

  /** Compiles a kernel's specialisations in the background. */
  async prepare<V extends Variant>(kernel: KernelDefinition<V>, variants: readonly V[]): Promise<void> {
    this.#assertUsable();
    await this.#orLost(Promise.all(variants.map((variant) => this.#pipelines.prepare(kernel, variant))));
    this.#assertUsable();
  }

  /**
   * The byte range that binds a contiguous tensor. Throws when it is strided, split, or starts off the device's
   * alignment: `contiguous()` in ops copies such views first.
   */
  range(tensor: Tensor, operation: string): BufferRange {
    const [piece, second] = tensor.storage.pieces;
    this.#assertOwn(tensor, operation);
    if (second) {
      throw new LimitError(
        `${operation}: ${tensor.dtype}[${tensor.shape}] in one binding`,
        this.bytesOf(tensor),
        'maxStorageBufferBindingSize',
        this.capabilities.maxStorageBinding,
      );
    }
    if (!tensor.contiguous)
      throw new ShapeError(operation, `needs contiguous tensors; [${tensor.shape}] has strides [${tensor.strides}].`);
    const buffer = (piece as StoragePiece).buffer;
    if (isQuantized(tensor.dtype)) {
      if (!isWholeQuantized(tensor)) {
        throw new ShapeError(operation, `[${tensor.shape}] is a view of part of a quantized tensor.`);
      }
      return { buffer, offset: 0, bytes: buffer.bytes };
    }
    const offset = (tensor.offset * plainBytes(tensor.dtype, 2)) / 2;
    if (offset % this.capabilities.storageAlignment !== 0) {
      throw new ShapeError(
        operation,
        `a view at byte ${offset} cannot be bound (alignment ${this.capabilities.storageAlignment}).`,
      );
    }
    const bytes = Math.max(plainBytes(tensor.dtype, tensor.size), 4);
    return { buffer, offset, bytes: offset + bytes > buffer.bytes ? buffer.bytes - offset : bytes };
  }

  /** Whether {@link range} accepts the tensor as it is. */
  bindable(tensor: Tensor): boolean {
    if (!tensor.contiguous || tensor.storage.pieces.length > 1) return false;
    if (isQuantized(tensor.dtype)) return isWholeQuantized(tensor);
    return ((tensor.offset * plainBytes(tensor.dtype, 2)) / 2) % this.capabilities.storageAlignment === 0;
  }

  /** Copies bytes between buffers, in order with the recorded dispatches. Offsets and size in multiples of 4. */
  copyBytes(source: BufferRange, target: BufferRange, bytes: number): void {
    this.#assertUsable();
    if (bytes === 0 || this.#dry) return;
    source.buffer.lastUse = this.#recorder.current;
    target.buffer.lastUse = this.#recorder.current;
    this.#recorder.copy(source.buffer.buffer, source.offset, target.buffer.buffer, target.offset, bytes);
  }

  /** GPU bytes of a tensor's elements. */
  bytesOf(tensor: Tensor): number {
    return isQuantized(tensor.dtype)
      ? quantizedBytes(tensor.dtype, tensor.size)
      : plainBytes(tensor.dtype, tensor.size);
  }

  // --- synchronising ---

  /** Submits what is recorded; does not wait. */
  flush(): void {
    this.#assertUsable();
    this.#recorder.submit();
  }

  /** Submits, and waits until the GPU has done everything. */
  async synchronize(): Promise<void> {
    this.flush();
    await this.#wait(this.device.queue.onSubmittedWorkDone());
    this.#assertUsable();
  }

  /** Reads tensors together: one submission, one wait. Views are read in their own row-major order. */
  async read(tensors: readonly Tensor[]): Promise<HostArray[]> {
    this.#assertUsable();
    if (this.#dry) throw new RefusedError('Nothing can be read in a dry run.');
    const plans = tensors.map((tensor) => {
      this.#assertOwn(tensor, 'read');
      return planRead(tensor);
    });
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
    this.#readbacks++;
    const mapped = await this.#map(staging, Math.max(total, 4));
    place = 0;
    const results = plans.map(({ bytes, decode }) => {
      const at = place;
      place += stagingBytes(bytes);
      return decode(mapped.slice(at, at + bytes));
    });
    staging.unmap();
    this.#staging.release(staging);
    await this.#checks?.afterRead();
    // Error scopes of the submission answer before the mapping does; what they said is thrown here.
    this.#assertUsable();
    return results;
  }

  /** Throws {@link NonFiniteError} when the tensor holds NaN or infinity. A readback. */
  async check(tensor: Tensor, name = 'The tensor'): Promise<void> {
    const data = await tensor.read();
    const bad = data.findIndex((value) => !Number.isFinite(value));
    if (bad >= 0) throw new NonFiniteError(`${name} ${tensor.dtype}[${tensor.shape}], element ${bad},`);
  }

  /**
   * Runs `work` with a timestamp around every dispatch, which is slower than unprofiled: each dispatch is a pass of its own.
   * Without the feature `timestamp-query` the profile holds the wall time of every submission instead, see its `source`.
   */
  async profile(work: () => void | Promise<void>): Promise<Profile> {
    await this.synchronize();
    const profiler = this.capabilities.timestamps ? new TimestampProfiler(this.device) : new WallProfiler(this.device);
    this.#recorder.profiler = profiler;
    try {
      await work();
      await this.synchronize();
      return new Profile(await profiler.finish(), profiler.source);
    } finally {
      // Passes recorded before a failure still hold the profiler's queries.
      this.#recorder.submit();
      await profiler.finish().catch(() => undefined);
      this.#recorder.profiler = undefined;
      profiler.dispose();
    }
  }

  /**
   * How much memory a piece of work takes, without doing it: tensors made inside take none, kernels are checked and not
   * run, nothing is compiled. `work` frees all that it makes (its scope frees what is not kept), reads nothing and leaves
   * nothing behind in objects that outlive it.
   *
   * @returns Most bytes that live at once inside, beyond those that live now.
   * @throws RefusedError for a read or another dry run inside, or for memory that was not freed
   */
  dryRun(work: () => void): number {
    return this.#runDry(work).pool.peakBytes;
  }

  /**
   * Compiles the pipelines that a piece of work needs, all at once and in the background, so that its first run does not
   * wait for one after another. The work runs dry, see {@link dryRun}.
   *
   * @returns how many were compiled; those that were there already are not counted
   * @throws what `dryRun` does; DeviceLostError
   */
  async warmUp(work: () => void): Promise<number> {
    const before = this.#pipelines.created;
    const { pipelines } = this.#runDry(work);
    await this.#orLost(Promise.all([...pipelines.values()].map((compile) => compile())));
    await this.synchronize();
    return this.#pipelines.created - before;
  }

  /**
   * Runs a kernel on no workgroup: some drivers generate code only when a pipeline is dispatched. The surplus workgroup
   * that is dispatched returns at once.
   */
  #touch<V extends Variant>(kernel: KernelDefinition<V>, variant: V): void {
    this.tidy(() => {
      const bindings = kernel.bindings(variant, this.capabilities).map(() => this.range(this.empty([64]), kernel.name));
      const slot = this.#recorder.parameters();
      slot.setWorkgroups(0, 0);
      const pipeline = this.#pipelines.get(kernel, variant);
      const group = this.#groups.get(pipeline, bindings);
      for (const { buffer } of bindings) buffer.lastUse = this.#recorder.current;
      this.#recorder.dispatch(kernel.name, pipeline.pipeline, group, slot.offset, 1, 1);
    });
  }

  #runDry(work: () => void): DryRun {
    this.#assertUsable();
    if (this.#dry) throw new RefusedError('A dry run is under way.');
    const unlimited = { maxBytes: Number.POSITIVE_INFINITY, maxPooledBytes: 0 };
    const none = { createBuffer: () => ({ destroy: () => undefined }) as unknown as GPUBuffer };
    const pool = new BufferPool(none, this.capabilities.maxBufferSize, unlimited, () => undefined);
    const dry: DryRun = { pool, pipelines: new Map() };
    this.#dry = dry;
    try {
      this.tidy(() => {
        work();
      });
    } finally {
      this.#dry = undefined;
    }
    if (pool.liveBytes > 0) throw new RefusedError(`A dry run left ${pool.liveBytes} bytes behind.`);
    return dry;
  }

  // --- lifetimes ---

  /** Runs a synchronous function and frees every tensor made in it but those it returns (also inside arrays and plain objects). */
  tidy<T>(work: () => T): T {
    this.#assertUsable();
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

  /** Takes a tensor out of the scopes: it lives until `dispose()`. */
  keep<T extends Tensor>(tensor: T): T {
    if (this.#leaveScope(tensor)) this.#guard(tensor);
    return tensor;
  }

  /** Called by tensors as they are made. */
  track(tensor: Tensor): void {
    const scope = this.#scopes.at(-1);
    if (scope) scope.add(tensor);
    else this.#guard(tensor);
  }

  /** Called by tensors as they are disposed. */
  untrack(tensor: Tensor): void {
    if (!this.#leaveScope(tensor)) finalizers.unregister(tensor);
  }

  /** Destroys freed buffers that wait for reuse. */
  trim(): void {
    this.#pool.trim();
  }

  /** Destroys the device. Pending reads reject with {@link DeviceLostError}. Idempotent. */
  dispose(): void {
    this.#lost ??= new DeviceLostError('disposed');
    this.device.destroy();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  // --- inside ---

  #leaveScope(tensor: Tensor): boolean {
    return this.#scopes.some((scope) => scope.remove(tensor));
  }

  /** Frees and reports a tensor that is garbage-collected. Those in a scope need it not: the scope holds them. */
  #guard(tensor: Tensor): void {
    const { storage, dtype, shape } = tensor;
    finalizers.register(tensor, { storage, dtype, shape, warn: this.#warn }, tensor);
  }

  #allocate(shape: Shape, dtype: Dtype): Storage {
    const limit = Math.min(this.capabilities.maxStorageBinding, this.capabilities.maxBufferSize);
    const bytesOf = (elements: number) =>
      isQuantized(dtype) ? quantizedBytes(dtype, elements) : plainBytes(dtype, elements);
    const total = bytesOf(elementCount(shape));
    const rows = shape[0] ?? 1;
    const pieces: StoragePiece[] = [];
    const pool = this.#dry?.pool ?? this.#pool;
    const acquire = (rowStart: number, count: number, bytes: number) => {
      const buffer = pool.acquire(bytes);
      if (this.#options.poison) this.#fillWithNaN(buffer);
      else if (this.#checks) this.#fillWithZeros(buffer);
      pieces.push({ buffer, rowStart, rows: count });
    };
    if (total <= limit) {
      acquire(0, rows, total);
      return new Storage(pool, pieces);
    }
    const rowElements = elementCount(shape) / rows;
    // Whole words and whole alignment units, so that every piece starts a binding.
    let perPiece = Math.floor(limit / bytesOf(rowElements * 2)) * 2;
    while (perPiece > 0 && bytesOf(rowElements * perPiece) > limit) perPiece -= 2;
    if (perPiece <= 0)
      throw new LimitError(`One row of ${dtype}[${shape}]`, bytesOf(rowElements), 'maxStorageBufferBindingSize', limit);
    try {
      for (let start = 0; start < rows; start += perPiece) {
        const count = Math.min(perPiece, rows - start);
        acquire(start, count, bytesOf(rowElements * count));
      }
    } catch (error) {
      for (const piece of pieces) pool.release(piece.buffer);
      throw error;
    }
    return new Storage(pool, pieces);
  }

  /** Also before checks: a kernel may write a part of its output, and what a former owner left elsewhere is no finding. */
  #fillWithZeros(buffer: PooledBuffer): void {
    if (this.#dry) return;
    this.#recorder.clear(buffer.buffer, 0, buffer.bytes);
    buffer.lastUse = this.#recorder.current;
  }

  /** Waits for the queue, or until the device is lost. */
  #wait(pending: Promise<undefined>): Promise<undefined> {
    return waitForGpu(this.#orLost(pending), this.capabilities.software);
  }

  /** The outcome of something that the device does; once the device is lost, its {@link DeviceLostError}. */
  async #orLost<T>(pending: Promise<T>): Promise<T> {
    try {
      return await Promise.race([pending, this.#lostSignal]);
    } catch (cause) {
      // The loss may be told later than what it made fail.
      await new Promise((resolve) => setTimeout(resolve));
      throw this.#lost ?? cause;
    }
  }

  #nanSource: GPUBuffer | undefined;

  #fillWithNaN(buffer: PooledBuffer): void {
    if (this.#dry) return;
    const size = 2 ** 20;
    if (!this.#nanSource) {
      this.#nanSource = this.device.createBuffer({ size, usage: GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST });
      // NaN as one f32, as two f16 and as two bf16.
      this.device.queue.writeBuffer(this.#nanSource, 0, new Uint32Array(size / 4).fill(0x7fff7fff));
    }
    for (let at = 0; at < buffer.bytes; at += size) {
      this.#recorder.copy(this.#nanSource, 0, buffer.buffer, at, Math.min(size, buffer.bytes - at));
    }
    buffer.lastUse = this.#recorder.current;
  }

  #grid(workgroups: number): [number, number] {
    const limit = this.capabilities.maxWorkgroupsPerDimension;
    if (workgroups <= limit) return [workgroups, 1];
    const y = Math.ceil(workgroups / limit);
    if (y > limit)
      throw new LimitError('A dispatch', workgroups, 'maxComputeWorkgroupsPerDimension squared', limit * limit);
    return [Math.ceil(workgroups / y), y];
  }

  /** Waits for a staging buffer. One that cannot be mapped is given up. */
  async #map(staging: GPUBuffer, bytes: number): Promise<ArrayBuffer> {
    try {
      await this.#wait(staging.mapAsync(GPUMapMode.READ, 0, bytes));
      return staging.getMappedRange(0, bytes);
    } catch (cause) {
      staging.destroy();
      throw this.#lost ?? new GpuValidationError(`Reading back failed: ${(cause as Error).message}`, { cause });
    }
  }

  #assertOwn(tensor: Tensor, operation: string): void {
    if (tensor.gpu === this) return;
    throw new ArgumentError(`${operation}: tensor`, 'a tensor of another Gpu', 'tensors of this Gpu');
  }

  #fail(error: GPUError): void {
    const outOfMemory = typeof GPUOutOfMemoryError !== 'undefined' && error instanceof GPUOutOfMemoryError;
    this.#failure ??= outOfMemory
      ? new OutOfMemoryError(
          `The device is out of memory: ${error.message} Dispose what is no longer needed, or use a shorter context or smaller weights.`,
          { cause: error },
        )
      : new GpuValidationError(error.message, { cause: error });
  }

  #assertUsable(): void {
    if (this.#lost) throw this.#lost;
    if (this.#failure) {
      const failure = this.#failure;
      this.#failure = undefined;
      throw failure;
    }
  }
}

/** Whether a quantized tensor is all of its storage: the scales stand behind all quants, so rows cannot be cut out. */
function isWholeQuantized(tensor: Tensor): boolean {
  const rows = tensor.storage.pieces.reduce((sum, piece) => sum + piece.rows, 0);
  return tensor.offset === 0 && tensor.shape[0] === rows;
}

/** Room of a read in the staging buffer, where the next one starts aligned. */
function stagingBytes(bytes: number): number {
  return Math.ceil(bytes / 8) * 8;
}
