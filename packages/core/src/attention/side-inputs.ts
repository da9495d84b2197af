import type { BufferRange } from '../device/bind-groups.ts';
import type { Gpu } from '../device/gpu.ts';
import type { LaunchBinding } from '../device/launcher.ts';
import { LimitError } from '../errors.ts';
import type { BindingDeclaration, ParameterList } from '../kernels/kernel.ts';
import { contiguous } from '../ops/copy.ts';
import type { Tensor } from '../tensor/tensor.ts';

/** An input of the tile loop beside queries, keys and values: lengths, lists, positions. Named as in WGSL. */
export interface SideInput {
  readonly name: string;
  readonly type: 'u32' | 'f32';
  readonly tensor: Tensor;
  /** Of a strided view: what to bind. Such an input is never packed. */
  readonly range?: BufferRange | undefined;
}

/**
 * How a variant binds its side inputs. WebGPU's default of 8 storage buffers leaves four beside query, keys, values and
 * output; where there are more inputs than that, the smallest are copied into one buffer of words called `side`.
 */
export interface SideInputVariant {
  /** Inputs with a binding of their own, in order: `name:type`, separated by commas. */
  readonly inputs: string;
  /** The inputs in `side`, likewise. */
  readonly packed: string;
}

const entries = (list: string): (readonly [name: string, type: string])[] =>
  list === '' ? [] : list.split(',').map((entry) => entry.split(':') as [string, string]);

/** WGSL that loads element `index` of a side input. */
export function sideLoad(variant: SideInputVariant, name: string, index: string, type: 'u32' | 'f32' = 'u32'): string {
  if (!entries(variant.packed).some(([packed]) => packed === name)) return `${name}[${index}]`;
  const word = `side[params.${name}_start + ${index}]`;
  return type === 'u32' ? word : `bitcast<f32>(${word})`;
}

export function sideBindings(variant: SideInputVariant): BindingDeclaration[] {
  const own = entries(variant.inputs).map(
    ([name, type]): BindingDeclaration => ({ name, type: `array<${type}>`, access: 'read' }),
  );
  return variant.packed === '' ? own : [...own, { name: 'side', type: 'array<u32>', access: 'read' }];
}

/** The scalars that say where each packed input starts. */
export function sideParameters(variant: SideInputVariant): ParameterList {
  return entries(variant.packed).map(([name]) => [`${name}_start`, 'u32'] as const);
}

/** Declares `load_<name>(index)` for each side input that `text` loads so. */
export function sideFunctions(variant: SideInputVariant, text: string): string {
  return [...entries(variant.inputs), ...entries(variant.packed)]
    .filter(([name]) => text.includes(`load_${name}(`))
    .map(
      ([name, type]) => `
fn load_${name}(index: u32) -> ${type} { return ${sideLoad(variant, name, 'index', type as SideInput['type'])}; }`,
    )
    .join('');
}

/** Side inputs as a launch takes them. */
export interface BoundSideInputs extends SideInputVariant {
  readonly bindings: readonly LaunchBinding[];
  /** In the order of {@link sideParameters}. */
  readonly parameters: readonly number[];
}

/**
 * Binds side inputs, packing the smallest where more than `free` bindings would be needed. Call inside `gpu.tidy`.
 * @throws LimitError when one buffer cannot hold what must be packed, or too many inputs are strided views.
 */
export function bindSideInputs(gpu: Gpu, sides: readonly SideInput[], free: number): BoundSideInputs {
  const surplus = sides.length - free;
  const bySize = surplus > 0 ? sides.filter(({ range }) => !range).sort((a, b) => a.tensor.size - b.tensor.size) : [];
  const packed = bySize.slice(0, surplus + 1);
  if (surplus > 0 && packed.length <= surplus) {
    const { maxStorageBuffers } = gpu.capabilities;
    const needed = maxStorageBuffers + surplus - packed.length + 1;
    throw new LimitError('attention: inputs', needed, 'maxStorageBuffersPerShaderStage', maxStorageBuffers);
  }
  const own = packed.length > 0 ? sides.filter((input) => !packed.includes(input)) : sides;
  const bindings: LaunchBinding[] = own.map(
    ({ tensor, range }) => range ?? (gpu.bindable(tensor) ? tensor : contiguous(tensor)),
  );
  const parameters: number[] = [];
  if (packed.length > 0) {
    const words = packed.reduce((sum, { tensor }) => sum + tensor.size, 0);
    const { maxStorageBinding } = gpu.capabilities;
    if (4 * words > maxStorageBinding) {
      throw new LimitError('attention: packed inputs', 4 * words, 'maxStorageBufferBindingSize', maxStorageBinding);
    }
    const side = gpu.empty([Math.max(words, 1)], 'u32');
    const target = gpu.range(side, 'attention');
    let start = 0;
    for (const { tensor } of packed) {
      parameters.push(start);
      const source = gpu.range(contiguous(tensor), 'attention');
      gpu.copyBytes(source, { ...target, offset: target.offset + 4 * start }, 4 * tensor.size);
      start += tensor.size;
    }
    bindings.push(side);
  }
  const list = (sides: readonly SideInput[]) => sides.map(({ name, type }) => `${name}:${type}`).join();
  return {
    inputs: list(own),
    packed: list(packed),
    bindings,
    parameters,
  };
}
