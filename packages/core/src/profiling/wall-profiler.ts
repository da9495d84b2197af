import type { KernelTiming, ProfileEntry, Profiler } from './profiler.ts';

/** Kernels that the name of a submission spells out. */
const namedKernels = 3;

/**
 * Measures each submission on the host's clock, for devices without timestamp queries: from its submit, or from the end of
 * the submission before it where that came later, until the queue reports it done. Recording is synchronous, so a single
 * dispatch cannot be waited for; the times include the driver's own, and the host notices an end only when it awaits.
 */
export class WallProfiler implements Profiler {
  readonly source = 'wall';
  readonly #queue: GPUQueue;
  readonly #entries: ProfileEntry[] = [];
  #kernels = new Map<string, number>();
  #flops = 0;
  #bytes = 0;
  #lastEndNs = 0;
  #waits: Promise<void>[] = [];

  constructor(device: GPUDevice) {
    this.#queue = device.queue;
  }

  begin(name: string, timing: KernelTiming | undefined): undefined {
    this.#kernels.set(name, (this.#kernels.get(name) ?? 0) + 1);
    this.#flops += timing?.flops ?? 0;
    this.#bytes += timing?.bytes ?? 0;
  }

  beforeSubmit(): void {}

  afterSubmit(): void {
    if (this.#kernels.size === 0) return;
    const work = { name: submissionName(this.#kernels), flops: this.#flops, bytes: this.#bytes };
    this.#kernels = new Map();
    this.#flops = 0;
    this.#bytes = 0;
    const submittedNs = performance.now() * 1e6;
    const wait = this.#queue.onSubmittedWorkDone().then(() => {
      const endNs = performance.now() * 1e6;
      // Submissions run one after another: what waited for its predecessor was not running.
      const startNs = Math.max(submittedNs, this.#lastEndNs);
      this.#lastEndNs = endNs;
      this.#entries.push({ ...work, startNs, durationNs: endNs - startNs });
    });
    // A failure is thrown by `finish`, which may come much later.
    wait.catch(() => undefined);
    this.#waits.push(wait);
  }

  async finish(): Promise<readonly ProfileEntry[]> {
    const waits = this.#waits;
    this.#waits = [];
    await Promise.all(waits);
    return this.#entries;
  }

  dispose(): void {}
}

/** The kernel alone, or `submission of 12 dispatches: linear ×8, rope ×2, softmax ×2`. */
function submissionName(kernels: ReadonlyMap<string, number>): string {
  const byCount = [...kernels].sort((a, b) => b[1] - a[1]);
  const dispatches = byCount.reduce((sum, [, count]) => sum + count, 0);
  if (dispatches === 1) return byCount[0]?.[0] as string;
  const named = byCount.slice(0, namedKernels).map(([name, count]) => (count > 1 ? `${name} ×${count}` : name));
  const rest = byCount.length > namedKernels ? ', ...' : '';
  return `submission of ${dispatches} dispatches: ${named.join(', ')}${rest}`;
}
