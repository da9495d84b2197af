import type { BufferRange } from '../device/bind-groups.ts';
import { ArgumentError } from '../errors.ts';
import type { ParameterList, ParameterType } from '../kernels/kernel.ts';
import { Tensor } from '../tensor/tensor.ts';
import type { SideInput } from './side-inputs.ts';

/**
 * Collects what the parts of one call (mask, score modifiers) bring along: inputs, numbers and WGSL functions. Their text
 * is the variant; their numbers are parameters of the launch.
 */
export class CallParts {
  readonly sides: SideInput[] = [];
  readonly #numbers: { readonly name: string; readonly type: ParameterType; readonly value: number }[] = [];
  readonly #functions: string[] = [];
  #ids = 0;

  /** A name that no other part of the call has. */
  id(kind: string): string {
    return `${kind}_${this.#ids++}`;
  }

  /** Adds a scalar; returns its WGSL. */
  number(name: string, type: ParameterType, value: number): string {
    if (!Number.isFinite(value)) throw new ArgumentError(`attention: ${name}`, value, 'a finite number');
    this.#numbers.push({ name, type, value });
    return `params.${name}`;
  }

  /**
   * Adds a tensor of f32 or u32; returns the WGSL function that loads an element by its index. A strided view comes with
   * the range to bind, and its index counts from there.
   */
  input(name: string, tensor: Tensor, range?: BufferRange): string {
    if (!(tensor instanceof Tensor) || (tensor.dtype !== 'f32' && tensor.dtype !== 'u32')) {
      const given = tensor instanceof Tensor ? tensor.dtype : tensor;
      throw new ArgumentError(`attention: ${name}`, given, 'a tensor of f32 or u32');
    }
    this.sides.push({ name, type: tensor.dtype, tensor, range });
    return `load_${name}`;
  }

  /** Adds module-scope text. */
  define(text: string): void {
    this.#functions.push(text);
  }

  /** Everything for the variant. */
  get functions(): string {
    return this.#functions.join('\n');
  }

  /** `name:type` of the numbers, comma-separated, for the variant. */
  get numbers(): string {
    return this.#numbers.map(({ name, type }) => `${name}:${type}`).join();
  }

  get values(): number[] {
    return this.#numbers.map(({ value }) => value);
  }
}

/** The scalars that a variant's `numbers` lists. */
export function numberParameters(numbers: string): ParameterList {
  if (numbers === '') return [];
  return numbers.split(',').map((entry) => entry.split(':') as [string, ParameterType]);
}
