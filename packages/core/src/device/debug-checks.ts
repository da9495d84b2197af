import { NonFiniteError } from '../errors.ts';
import { defineKernel, type KernelDefinition, type Variant } from '../kernels/kernel.ts';
import { nonFiniteFunction } from '../kernels/wgsl.ts';
import { Tensor } from '../tensor/tensor.ts';
import type { Gpu, Launch } from './gpu.ts';

const scanForNonFinite = defineKernel<Record<never, never>>({
  name: 'debug.scanForNonFinite',
  bindings: () => [
    { name: 'values', type: 'array<f32>', access: 'read' },
    { name: 'first', type: 'atomic<u32>', access: 'read_write' },
  ],
  parameters: [
    ['size', 'u32'],
    ['launch', 'u32'],
  ],
  workgroupSize: () => 64,
  source: () => ({
    declarations: nonFiniteFunction,
    main: `
  let index = group * 64u + lane;
  if (index < params.size && is_nonfinite(values[index])) { atomicMin(&first, params.launch); }`,
  }),
});

/** The debug mode `check`: after each launch a scan of what it wrote; the first bad launch is named at the next read. */
export class DebugChecks {
  readonly #gpu: Gpu;
  readonly #names: string[] = [];
  #first: Tensor | undefined;
  #busy = false;

  constructor(gpu: Gpu) {
    this.#gpu = gpu;
  }

  afterLaunch<V extends Variant>(kernel: KernelDefinition<V>, variant: V, launch: Launch): void {
    if (this.#busy) return;
    const declared = kernel.bindings(variant, this.#gpu.capabilities);
    const written = launch.bindings.filter((binding, index): binding is Tensor => {
      const declaration = declared[index];
      return (
        declaration?.access === 'read_write' && binding instanceof Tensor && binding.dtype === 'f32' && binding.size > 0
      );
    });
    if (written.length === 0) return;
    this.#guarded(() => {
      this.#first ??= this.#gpu.keep(this.#gpu.tensor([0xffffffff], [1], 'u32'));
      const number =
        this.#names.push(`${kernel.name} (${written.map((tensor) => `[${tensor.shape}]`).join(', ')})`) - 1;
      for (const tensor of written) {
        this.#gpu.launch(
          scanForNonFinite,
          {},
          {
            bindings: [tensor, this.#first as Tensor],
            parameters: [tensor.size, number],
            workgroups: Math.ceil(tensor.size / 64),
          },
        );
      }
    });
  }

  /** Throws the first bad launch since the last read. */
  async afterRead(): Promise<void> {
    const first = this.#first;
    if (this.#busy || !first) return;
    this.#busy = true;
    try {
      const [found] = await first.read();
      if (found === undefined || found === 0xffffffff) return;
      const name = this.#names[found];
      first.dispose();
      this.#first = undefined;
      this.#names.length = 0;
      throw new NonFiniteError(`The output of launch ${found}, ${name},`);
    } finally {
      this.#busy = false;
    }
  }

  #guarded(work: () => void): void {
    this.#busy = true;
    try {
      work();
    } finally {
      this.#busy = false;
    }
  }
}
