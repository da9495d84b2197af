import { RefusedError } from '../errors.ts';
import { tensorsIn } from '../tensor/scope.ts';
import type { Tensor } from '../tensor/tensor.ts';
import type { PooledBuffer } from './buffer-pool.ts';
import type { CommandSink, Dispatch } from './command-sink.ts';
import { ParameterSlots } from './parameter-slots.ts';
import type { PlanMemory } from './plan-memory.ts';

type Command = (sink: CommandSink, parameters: ParameterSlots) => void;

/** Takes commands down. */
export class CommandTape implements CommandSink {
  readonly commands: Command[] = [];
  readonly slots = new ParameterSlots(512);
  /** The buffers that commands use, with how often each was given back by then. */
  readonly buffers = new Map<PooledBuffer, number>();
  #slotsUsed = 0;

  parameters(): ParameterSlots {
    return this.slots.begin(this.#slotsUsed++);
  }

  dispatch(dispatch: Dispatch): void {
    const { offset, work } = dispatch;
    this.commands.push((sink, slots) => {
      const slot = sink.parameters(work?.flops);
      slot.copyFrom(slots, offset);
      sink.dispatch(slot.offset === offset ? dispatch : { ...dispatch, offset: slot.offset });
    });
  }

  copy(source: GPUBuffer, sourceOffset: number, target: GPUBuffer, targetOffset: number, bytes: number): void {
    this.commands.push((sink) => sink.copy(source, sourceOffset, target, targetOffset, bytes));
  }

  clear(target: GPUBuffer, offset: number, bytes: number): void {
    this.commands.push((sink) => sink.clear(target, offset, bytes));
  }

  use(buffer: PooledBuffer): void {
    this.buffers.set(buffer, buffer.releases);
  }
}

/** What a plan needs of its `Gpu`. */
export interface PlanHost {
  readonly sink: CommandSink;
  readonly memory: PlanMemory;
  /** Runs `work` so that its commands go to the tape and its tensors into the plan's memory. */
  record<T>(work: () => T, tape: CommandTape, memory: PlanMemory): T;
  keep(tensor: Tensor): void;
  assertUsable(): void;
}

/**
 * Commands of a piece of work, recorded once and run any number of times: pipelines, bind groups, grids and parameters are
 * found when they are captured, so that a run only encodes them. As with a CUDA graph, whatever the work computed from host
 * numbers stays as it was; what changes from run to run stands in buffers that the work reads. Made by `gpu.plan()`.
 */
export class CommandPlan {
  readonly #host: PlanHost;
  #tape: CommandTape | undefined;
  #results: readonly Tensor[] = [];

  constructor(host: PlanHost) {
    this.#host = host;
  }

  /** Whether it can run: something was captured, and nothing that its commands use was freed since. */
  get ready(): boolean {
    if (!this.#tape) return false;
    for (const [buffer, releases] of this.#tape.buffers) if (buffer.releases !== releases) return false;
    return true;
  }

  /**
   * Records the commands of `work`, in place of those of before; nothing runs yet. Tensors made inside stand in memory that
   * belongs to the plan. Those that `work` returns live until the next capture or `dispose`; every run writes them anew.
   *
   * @throws RefusedError inside another capture or a dry run, for reads and uploads inside, for tensors that are neither
   *   freed nor returned
   */
  capture<T>(work: () => T): T {
    this.#forget();
    const tape = new CommandTape();
    const { memory } = this.#host;
    memory.rewind();
    const result = this.#host.record(work, tape, memory);
    const results = [...tensorsIn(result)];
    for (const tensor of results) this.#host.keep(tensor);
    this.#results = results;
    const returned = new Set(results.flatMap(({ storage }) => storage.pieces.map(({ buffer }) => buffer)));
    const left = memory.used.filter((buffer) => !returned.has(buffer));
    if (left.length > 0) {
      this.#forget();
      throw new RefusedError(`The captured work left ${left.length} tensors behind that it did not return.`);
    }
    this.#tape = tape;
    return result;
  }

  /** Records its commands, in the order of everything else. @throws RefusedError unless {@link ready} */
  run(): void {
    this.#host.assertUsable();
    const tape = this.#tape;
    if (!tape || !this.ready) throw new RefusedError('The plan holds no commands that can run; capture them anew.');
    const { sink } = this.#host;
    for (const command of tape.commands) command(sink, tape.slots);
    for (const buffer of tape.buffers.keys()) sink.use(buffer);
  }

  /** Frees its memory and what was returned from it. Idempotent. */
  dispose(): void {
    this.#forget();
    this.#host.memory.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  #forget(): void {
    this.#tape = undefined;
    for (const tensor of this.#results) tensor.dispose();
    this.#results = [];
  }
}
