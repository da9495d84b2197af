import type { Gpu } from '../device/gpu.ts';
import type { Launch } from '../device/launcher.ts';
import {
  type BindingDeclaration,
  defineKernel,
  type KernelDefinition,
  type ParameterList,
  type Variant,
} from '../kernels/kernel.ts';

/** Kernels whose invocations own one element each. */

const workgroupSize = 64;

export interface ElementKernel<V extends Variant> {
  readonly name: string;
  readonly bindings: (variant: V) => readonly BindingDeclaration[];
  /** Scalars behind `total`, the number of elements. */
  readonly parameters: ParameterList;
  readonly declarations?: (variant: V) => string;
  /** WGSL of one element: `at` (u32) is its number, below `params.total`. */
  readonly main: (variant: V) => string;
}

/** Declares a kernel of one invocation per element. */
export function defineElementKernel<V extends Variant = Variant>(kernel: ElementKernel<V>): KernelDefinition<V> {
  const { name, bindings, parameters, declarations, main } = kernel;
  return defineKernel<V>({
    name,
    bindings,
    parameters: [['total', 'u32'], ...parameters],
    workgroupSize: () => workgroupSize,
    source: (variant) => ({
      ...(declarations ? { declarations: declarations(variant) } : {}),
      main: `
  let at = group * ${workgroupSize}u + lane;
  if (at >= params.total) { return; }${main(variant)}`,
    }),
  });
}

/** Launches a kernel of {@link defineElementKernel} over `total` elements; `parameters` are those behind it. */
export function launchElements<V extends Variant>(
  gpu: Gpu,
  kernel: KernelDefinition<V>,
  variant: V,
  total: number,
  { parameters = [], ...launch }: Omit<Launch, 'workgroups'>,
): void {
  gpu.launch(kernel, variant, {
    ...launch,
    parameters: [total, ...parameters],
    workgroups: Math.ceil(total / workgroupSize),
  });
}

/** Bindings of f32 numbers: those that a kernel reads, then those that it writes. */
export function floatBindings(read: readonly string[], written: readonly string[]): BindingDeclaration[] {
  const declare = (access: BindingDeclaration['access']) => (name: string) => ({ name, type: 'array<f32>', access });
  return [...read.map(declare('read')), ...written.map(declare('read_write'))];
}
