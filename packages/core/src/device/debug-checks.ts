import { NonFiniteError } from '../errors.ts';
import type { KernelDefinition, Variant } from '../kernels/kernel.ts';
import { type FloatFormat, scanForNonFinite } from '../kernels/scan-for-non-finite.ts';
import { Tensor } from '../tensor/tensor.ts';
import type { BufferRange } from './bind-groups.ts';
import type { Gpu } from './gpu.ts';
import type { Launch } from './launcher.ts';

/** Floats that a launch may have written. */
interface WrittenFloats {
  readonly binding: Tensor | BufferRange;
  readonly format: FloatFormat;
  readonly size: number;
}

/** The debug mode `check`: after each launch a scan of what it wrote; the first bad launch is named at the next read. */
export class DebugChecks {
  readonly #gpu: Gpu;
  /** What has been launched since the last read, by number. */
  readonly #names = new Map<number, string>();
  #launches = 0;
  #first: Tensor | undefined;
  #busy = false;

  constructor(gpu: Gpu) {
    this.#gpu = gpu;
  }

  afterLaunch<V extends Variant>(kernel: KernelDefinition<V>, variant: V, launch: Launch): void {
    if (this.#busy) return;
    const declared = kernel.bindings(variant, this.#gpu.capabilities);
    const written = launch.bindings.flatMap((binding, index) => {
      const declaration = declared[index];
      if (declaration?.access !== 'read_write') return [];
      return writtenFloats(binding, declaration.type) ?? [];
    });
    if (written.length === 0) return;
    this.#busy = true;
    try {
      this.#first ??= this.#gpu.keep(this.#gpu.tensor([0xffffffff], [1], 'u32'));
      const number = this.#launches++;
      this.#names.set(number, `${kernel.name} (${written.map(description).join(', ')})`);
      for (const { binding, format, size } of written) {
        this.#gpu.launch(
          scanForNonFinite,
          { format },
          { bindings: [binding, this.#first], parameters: [size, number], workgroups: Math.ceil(size / 64) },
        );
      }
    } finally {
      this.#busy = false;
    }
  }

  /** Throws the first bad launch since the last read. */
  async afterRead(): Promise<void> {
    const first = this.#first;
    if (this.#busy || !first) return;
    this.#busy = true;
    // Others may launch while this waits; their launches have higher numbers and are looked at next time.
    const seen = this.#launches;
    try {
      const [found] = await first.read();
      if (found === undefined || found === 0xffffffff) return;
      const name = this.#names.get(found);
      first.dispose();
      this.#first = undefined;
      throw new NonFiniteError(`The output of launch ${found}, ${name},`);
    } finally {
      for (const number of this.#names.keys()) if (number < seen) this.#names.delete(number);
      this.#busy = false;
    }
  }
}

/** A tensor says what it holds; a range only where the kernel declares f32. */
function writtenFloats(binding: Tensor | BufferRange, declaredType: string): WrittenFloats | undefined {
  if (!(binding instanceof Tensor)) {
    const size = binding.bytes / 4;
    return declaredType.includes('f32') && size > 0 ? { binding, format: 'f32', size } : undefined;
  }
  const { dtype: format, size } = binding;
  const float = format === 'f32' || format === 'f16' || format === 'bf16';
  return float && size > 0 ? { binding, format, size } : undefined;
}

function description({ binding, size }: WrittenFloats): string {
  return `[${binding instanceof Tensor ? binding.shape : size}]`;
}
