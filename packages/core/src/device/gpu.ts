import { ArgumentError, NonFiniteError, RefusedError, ShapeError } from '../errors.ts';
import { type KernelDefinition, type Variant, variantKey } from '../kernels/kernel.ts';
import { Profile } from '../profiling/profile.ts';
import { TimestampProfiler } from '../profiling/timestamp-profiler.ts';
import { WallProfiler } from '../profiling/wall-profiler.ts';
import {
  bytesPerElement,
  type Dtype,
  encodeElements,
  type HostArray,
  type PlainDtype,
  plainBytes,
} from '../tensor/dtype.ts';
import { checkShape, elementCount, type Shape } from '../tensor/shape.ts';
import { Tensor } from '../tensor/tensor.ts';
import { adapterName, fingerprint, type Tuning } from '../tuning/tuning.ts';
import type { BufferRange } from './bind-groups.ts';
import { bindingRange, bytesOf, isBindable } from './binding-range.ts';
import { BufferPool } from './buffer-pool.ts';
import type { AdapterFacts, Capabilities } from './capabilities.ts';
import { CommandPlan, type CommandTape } from './command-plan.ts';
import type { CommandSink } from './command-sink.ts';
import { DebugChecks } from './debug-checks.ts';
import { DeviceHealth } from './device-health.ts';
import { DryRun } from './dry-run.ts';
import type { DebugLevel, GpuOptions, GpuStats } from './gpu-options.ts';
import { type Launch, Launcher } from './launcher.ts';
import { Lifetimes } from './lifetimes.ts';
import { PlanMemory } from './plan-memory.ts';
import { Reader } from './reader.ts';
import { Recorder } from './recorder.ts';
import { TensorMemory } from './tensor-memory.ts';
import { defaultMaxDispatchFlops } from './work-bound.ts';

/** A plan that is being captured. */
interface Capture {
  readonly tape: CommandTape;
  readonly memory: PlanMemory;
}

/** Owns a GPUDevice: memory, pipelines, the command stream and the errors of everything that runs on it. */
export class Gpu {
  readonly device: GPUDevice;
  readonly capabilities: Capabilities;
  readonly adapter: AdapterFacts;
  /** Most FLOPs of a dispatch and of a submission, see {@link GpuOptions.maxDispatchFlops}. */
  readonly maxDispatchFlops: number;
  /** What is printed or checked while ops run. */
  readonly debug: DebugLevel;
  readonly #health: DeviceHealth;
  readonly #recorder: Recorder;
  readonly #launcher: Launcher;
  readonly #pool: BufferPool;
  readonly #memory: TensorMemory;
  readonly #reader: Reader;
  readonly #lifetimes: Lifetimes;
  readonly #checks: DebugChecks | undefined;
  readonly #log: (line: string) => void;
  #dry: DryRun | undefined;
  #capture: Capture | undefined;
  #launches = 0;
  #tuning: Tuning | undefined;

  /**
   * Use {@link openGpu} or {@link gpuFromDevice}.
   *
   * @throws ArgumentError when `maxDispatchFlops` is not positive
   */
  constructor(device: GPUDevice, capabilities: Capabilities, adapter: AdapterFacts, options: GpuOptions = {}) {
    this.device = device;
    this.capabilities = capabilities;
    this.adapter = adapter;
    const { debug = 'off', poison, maxBytes = Number.POSITIVE_INFINITY, maxPooledBytes = 2 ** 29 } = options;
    this.debug = debug;
    this.#log = options.log ?? ((line) => console.error(line));
    this.maxDispatchFlops = options.maxDispatchFlops ?? defaultMaxDispatchFlops(capabilities, adapter);
    if (!(this.maxDispatchFlops > 0)) {
      throw new ArgumentError('openGpu: maxDispatchFlops', this.maxDispatchFlops, 'a number above 0');
    }
    if (options.tuning?.adapter === adapterName(adapter, capabilities)) this.#tuning = options.tuning;
    const logWgsl = debug === 'wgsl' ? (key: string, code: string) => this.#log(`// ${key}\n${code}`) : undefined;
    this.#health = new DeviceHealth(device, capabilities.software);
    this.#recorder = new Recorder(device, this.maxDispatchFlops, (error) => this.#health.fail(error));
    this.#launcher = new Launcher(device, capabilities, this.#recorder.uniforms, this.maxDispatchFlops, logWgsl);
    this.#pool = new BufferPool(device, capabilities.maxBufferSize, { maxBytes, maxPooledBytes }, (buffer) => {
      this.#launcher.forget(buffer);
      // A buffer must outlive the commands that use it.
      if (buffer.lastUse === this.#recorder.current) this.#recorder.submit();
    });
    // Zeros for checks: a kernel may write a part of its output, and what a former owner left elsewhere is no finding.
    const content = poison ? 'nan' : debug === 'check' ? 'zeros' : 'any';
    this.#memory = new TensorMemory(device, capabilities, content);
    this.#reader = new Reader(device, this.#recorder, this.#health);
    // A device that is gone took its memory along.
    this.#lifetimes = new Lifetimes((line) => this.alive && this.#log(line));
    this.#checks = debug === 'check' ? new DebugChecks(this) : undefined;
  }

  /** Whether the device still works. */
  get alive(): boolean {
    return this.#health.alive;
  }

  stats(): GpuStats {
    return {
      liveBytes: this.#pool.liveBytes,
      peakBytes: this.#pool.peakBytes,
      pooledBytes: this.#pool.pooledBytes,
      buffersCreated: this.#pool.created + this.#reader.buffersCreated,
      bindGroupsCreated: this.#launcher.bindGroupsCreated,
      pipelinesCreated: this.#launcher.pipelinesCreated,
      dispatches: this.#recorder.dispatches,
      submits: this.#recorder.submits,
      readbacks: this.#reader.readbacks,
    };
  }

  /** The variants that were measured to be fastest here, for JSON; undefined where all kernels take their defaults. */
  get tuning(): Tuning | undefined {
    return this.#tuning;
  }

  /**
   * What results depend on in their last bits: the adapter, the features of its device, and the kernel variants in use. Equal
   * fingerprints run equal kernels; what is continued under another one (a training run, say) may take another course.
   */
  get fingerprint(): string {
    return fingerprint(adapterName(this.adapter, this.capabilities), this.#tuning);
  }

  /**
   * Measures the variants of the heavy kernels on this adapter, and takes the fastest of each from now on. Takes some seconds,
   * on a software adapter up to a minute, most of which is compiling; nothing else should run meanwhile. Keep the result, and
   * hand it to `openGpu` as `tuning` the next time. A command plan that was captured before keeps the kernels that it has.
   *
   * @throws DeviceLostError
   */
  async tune(): Promise<Tuning> {
    const { measureTuning } = await import('../tuning/measure-tuning.ts');
    this.#tuning = await measureTuning(this, adapterName(this.adapter, this.capabilities));
    return this.#tuning;
  }

  /** Starts the peak of `stats().peakBytes` anew at the bytes that live now. */
  resetPeak(): void {
    this.#pool.peakBytes = this.#pool.liveBytes;
  }

  // --- making tensors ---

  /** A tensor whose content is undefined until a kernel writes it. Split along axis 0 when over the binding limit. */
  empty(shape: Shape, dtype: Dtype = 'f32'): Tensor {
    this.#health.assertUsable();
    checkShape('shape', shape);
    const storage = this.#memory.allocate(this.#dry?.pool ?? this.#capture?.memory ?? this.#pool, shape, dtype);
    if (!this.#dry) this.#memory.initialize(this.#sink, storage);
    return new Tensor(this, storage, dtype, [...shape]);
  }

  /** A tensor of zeros (plain dtypes). */
  zeros(shape: Shape, dtype: PlainDtype = 'f32'): Tensor {
    const tensor = this.empty(shape, dtype);
    if (this.#dry) return tensor;
    for (const { buffer } of tensor.storage.pieces) this.#memory.fillWithZeros(this.#sink, buffer);
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
    this.#health.assertUsable();
    if (this.#dry) return;
    if (this.#capture) throw new RefusedError('Host data cannot be uploaded while a plan is captured; do it before.');
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
    this.#health.assertUsable();
    if (launch.workgroups === 0) return;
    const ranges = launch.bindings.map((binding) =>
      binding instanceof Tensor ? this.range(binding, kernel.name) : binding,
    );
    if (this.#dry) {
      this.#launcher.check(kernel, variant, launch);
      this.#dry.pipelines.set(variantKey(kernel.name, variant), async () => {
        if (await this.#launcher.prepare(kernel, variant)) this.#touch(kernel, variant);
      });
      return;
    }
    this.#launcher.launch(this.#sink, kernel, variant, launch, ranges);
    this.#launches++;
    if (this.debug === 'dispatch') {
      const { workgroups, parameters = [] } = launch;
      this.#log(`${this.#launches} ${kernel.name} ${JSON.stringify(variant)} workgroups=${workgroups} [${parameters}]`);
    }
    this.#checks?.afterLaunch(kernel, variant, launch);
  }

  /** An empty plan of commands, to be captured once and run any number of times. */
  plan(): CommandPlan {
    return new CommandPlan({
      sink: this.#recorder,
      memory: new PlanMemory(this.#pool),
      record: (work, tape, memory) => this.#record(work, { tape, memory }),
      keep: (tensor) => this.keep(tensor),
      assertUsable: () => this.#health.assertUsable(),
    });
  }

  /** Compiles a kernel's specialisations in the background. */
  async prepare<V extends Variant>(kernel: KernelDefinition<V>, variants: readonly V[]): Promise<void> {
    this.#health.assertUsable();
    await this.#health.orLost(Promise.all(variants.map((variant) => this.#launcher.prepare(kernel, variant))));
    this.#health.assertUsable();
  }

  /**
   * The byte range that binds a contiguous tensor. Throws when it is strided, split, or starts off the device's
   * alignment: `contiguous()` in ops copies such views first.
   */
  range(tensor: Tensor, operation: string): BufferRange {
    this.#assertOwn(tensor, operation);
    return bindingRange(tensor, this.capabilities, operation);
  }

  /** Whether {@link range} accepts the tensor as it is. */
  bindable(tensor: Tensor): boolean {
    return isBindable(tensor, this.capabilities);
  }

  /** Copies bytes between buffers, in order with the recorded dispatches. Offsets and size in multiples of 4. */
  copyBytes(source: BufferRange, target: BufferRange, bytes: number): void {
    this.#health.assertUsable();
    if (bytes === 0 || this.#dry) return;
    const sink = this.#sink;
    sink.use(source.buffer);
    sink.use(target.buffer);
    sink.copy(source.buffer.buffer, source.offset, target.buffer.buffer, target.offset, bytes);
  }

  /** GPU bytes of a tensor's elements. */
  bytesOf(tensor: Tensor): number {
    return bytesOf(tensor);
  }

  // --- synchronising ---

  /** Submits what is recorded; does not wait. */
  flush(): void {
    this.#health.assertUsable();
    this.#recorder.submit();
  }

  /** Submits, and waits until the GPU has done everything. */
  async synchronize(): Promise<void> {
    this.flush();
    await this.#health.wait(this.device.queue.onSubmittedWorkDone());
    this.#health.assertUsable();
  }

  /** Reads tensors together: one submission, one wait. Views are read in their own row-major order. */
  async read(tensors: readonly Tensor[]): Promise<HostArray[]> {
    this.#health.assertUsable();
    if (this.#dry) throw new RefusedError('Nothing can be read in a dry run.');
    if (this.#capture) throw new RefusedError('Nothing can be read while a plan is captured.');
    for (const tensor of tensors) this.#assertOwn(tensor, 'read');
    const results = await this.#reader.read(tensors);
    await this.#checks?.afterRead();
    // Error scopes of the submission answer before the mapping does; what they said is thrown here.
    this.#health.assertUsable();
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
    const before = this.#launcher.pipelinesCreated;
    const { pipelines } = this.#runDry(work);
    await this.#health.orLost(Promise.all([...pipelines.values()].map((compile) => compile())));
    await this.synchronize();
    return this.#launcher.pipelinesCreated - before;
  }

  // --- lifetimes ---

  /** Runs a synchronous function and frees every tensor made in it but those it returns (also inside arrays and plain objects). */
  tidy<T>(work: () => T): T {
    this.#health.assertUsable();
    return this.#lifetimes.tidy(work);
  }

  /** Takes a tensor out of the scopes: it lives until `dispose()`. */
  keep<T extends Tensor>(tensor: T): T {
    this.#lifetimes.keep(tensor);
    return tensor;
  }

  /** Called by tensors as they are made. */
  track(tensor: Tensor): void {
    this.#lifetimes.track(tensor);
  }

  /** Called by tensors as they are disposed. */
  untrack(tensor: Tensor): void {
    this.#lifetimes.untrack(tensor);
  }

  /** Destroys freed buffers that wait for reuse. */
  trim(): void {
    this.#pool.trim();
  }

  /** Destroys the device. Pending reads reject with `DeviceLostError`. Idempotent. */
  dispose(): void {
    this.#health.lose('disposed');
    this.device.destroy();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  // --- inside ---

  /** Where commands go now. */
  get #sink(): CommandSink {
    return this.#capture?.tape ?? this.#recorder;
  }

  #record<T>(work: () => T, capture: Capture): T {
    this.#health.assertUsable();
    if (this.#capture || this.#dry) {
      throw new RefusedError(`${this.#dry ? 'A dry run' : 'A capture'} is under way; a plan is captured outside.`);
    }
    this.#capture = capture;
    try {
      return this.tidy(work);
    } finally {
      this.#capture = undefined;
    }
  }

  #runDry(work: () => void): DryRun {
    this.#health.assertUsable();
    if (this.#dry || this.#capture) {
      throw new RefusedError(`${this.#dry ? 'A dry run' : 'A capture'} is under way.`);
    }
    const dry = new DryRun(this.capabilities);
    this.#dry = dry;
    try {
      this.tidy(() => {
        work();
      });
    } finally {
      this.#dry = undefined;
    }
    return dry.finish();
  }

  #touch<V extends Variant>(kernel: KernelDefinition<V>, variant: V): void {
    this.tidy(() => {
      const bindings = kernel.bindings(variant, this.capabilities);
      this.#launcher.touch(
        this.#recorder,
        kernel,
        variant,
        bindings.map(() => this.range(this.empty([64]), kernel.name)),
      );
    });
  }

  #assertOwn(tensor: Tensor, operation: string): void {
    if (tensor.gpu === this) return;
    throw new ArgumentError(`${operation}: tensor`, 'a tensor of another Gpu', 'tensors of this Gpu');
  }
}
