import type { Capabilities } from '../device/capabilities.ts';
import { LimitError } from '../errors.ts';

/** What a kernel is specialised by: only values that change the WGSL text. Sizes belong into parameters. */
export type Variant = Readonly<Record<string, string | number | boolean>>;

export type ParameterType = 'u32' | 'i32' | 'f32';

export type ParameterList = readonly (readonly [name: string, type: ParameterType])[];

/** One storage binding: its WGSL name and type, and whether the kernel writes it. */
export interface BindingDeclaration {
  readonly name: string;
  /** WGSL store type, such as `array<f32>` or `array<vec4<u32>>`. */
  readonly type: string;
  readonly access: 'read' | 'read_write';
}

/** The variable part of a kernel's WGSL. */
export interface KernelSource {
  /** Module-scope declarations: functions, workgroup variables, constants. */
  readonly declarations?: string;
  /**
   * Body of the entry point. In scope: the bindings and `params` by name; `group` (linear workgroup index in the
   * launch, below its `workgroups`), `local` (vec3u), `lane` (index in the workgroup), and with `subgroups` also `subgroup_lane` and `subgroup_size`.
   */
  readonly main: string;
  /** Uses subgroup operations; only where the capabilities have them. */
  readonly subgroups?: boolean;
}

/** A kernel: declared once, specialised into pipelines per variant and device. */
export interface KernelDefinition<V extends Variant = Variant> {
  /** Unique name; shown by the profiler and in error messages. */
  readonly name: string;
  readonly bindings: (variant: V, capabilities: Capabilities) => readonly BindingDeclaration[];
  /** Scalars of each dispatch, in order, at most 62; a function where variants take further ones. */
  readonly parameters: ParameterList | ((variant: V) => ParameterList);
  readonly workgroupSize: (variant: V, capabilities: Capabilities) => number | readonly [number, number, number];
  readonly source: (variant: V, capabilities: Capabilities) => KernelSource;
}

/** Declares a kernel (checked once here rather than at each launch). */
export function defineKernel<V extends Variant>(definition: KernelDefinition<V>): KernelDefinition<V> {
  if (typeof definition.parameters !== 'function') checkCount(definition.name, definition.parameters.length);
  return definition;
}

/** Words of a parameter slot in front of the kernel's own: the range of workgroups of the dispatch. */
export const rangeParameters = 2;

/** Most scalars of a dispatch: with its range of workgroups they fill a slot of 256 bytes. */
export const mostParameters = 64 - rangeParameters;

/** @throws LimitError for more scalars than a dispatch takes: a mask or modifiers with very many numbers */
function checkCount(name: string, count: number): void {
  if (count > mostParameters) {
    throw new LimitError(`${name}: scalars`, count, 'number of scalars per dispatch', mostParameters);
  }
}

/** The scalars of one specialisation. @throws LimitError where they are more than a dispatch takes */
export function parametersOf<V extends Variant>(kernel: KernelDefinition<V>, variant: V): ParameterList {
  if (typeof kernel.parameters !== 'function') return kernel.parameters;
  const parameters = kernel.parameters(variant);
  checkCount(kernel.name, parameters.length);
  return parameters;
}

/** Cache key of one specialisation. */
export function variantKey(name: string, variant: Variant): string {
  let key = name;
  // In the order of the literal: a launcher always writes the same one, and sorting would cost more than the launch.
  for (const field in variant) {
    const value = variant[field];
    // What a variant does without is left out: most fields of most launches, and the key is built at each.
    if (value !== false && value !== '') key += `|${field}=${value}`;
  }
  return key;
}

/** The complete WGSL module of one specialisation. */
export function assembleWgsl<V extends Variant>(
  kernel: KernelDefinition<V>,
  variant: V,
  capabilities: Capabilities,
): string {
  const source = kernel.source(variant, capabilities);
  const size = kernel.workgroupSize(variant, capabilities);
  const dimensions = typeof size === 'number' ? [size, 1, 1] : size;
  const bindings = kernel.bindings(variant, capabilities);
  const text = `${source.declarations ?? ''}${source.main}${bindings.map((binding) => binding.type).join()}`;
  const lines: string[] = [];
  if (/\bf16\b|\bvec[234]h\b/.test(text)) lines.push('enable f16;');
  if (source.subgroups) lines.push('enable subgroups;');
  lines.push('struct Params {', '  first_workgroup: u32,', '  end_workgroup: u32,');
  const parameters = parametersOf(kernel, variant);
  for (const [name, type] of parameters) lines.push(`  ${name}: ${type},`);
  lines.push('}', '@group(0) @binding(0) var<uniform> params: Params;');
  bindings.forEach((binding, index) => {
    lines.push(`@group(0) @binding(${index + 1}) var<storage, ${binding.access}> ${binding.name}: ${binding.type};`);
  });
  if (source.declarations) lines.push(source.declarations);
  const builtins = [
    '@builtin(workgroup_id) workgroup_id: vec3u',
    '@builtin(num_workgroups) workgroup_count: vec3u',
    '@builtin(local_invocation_id) local: vec3u',
    '@builtin(local_invocation_index) lane: u32',
  ];
  if (source.subgroups) {
    builtins.push('@builtin(subgroup_invocation_id) subgroup_lane: u32', '@builtin(subgroup_size) subgroup_size: u32');
  }
  lines.push(`@compute @workgroup_size(${dimensions.join(', ')})`, `fn main(${builtins.join(', ')}) {`);
  lines.push('  let group = params.first_workgroup + workgroup_id.x + workgroup_id.y * workgroup_count.x;');
  lines.push('  if (group >= params.end_workgroup) { return; }', source.main, '}');
  return lines.join('\n');
}
