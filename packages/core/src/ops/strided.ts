import type { BufferRange } from '../device/bind-groups.ts';
import type { PooledBuffer } from '../device/buffer-pool.ts';
import type { Capabilities } from '../device/capabilities.ts';
import type { Gpu } from '../device/gpu.ts';
import type { LaunchBinding } from '../device/launcher.ts';
import { LimitError, ShapeError } from '../errors.ts';
import { defineKernel, type KernelDefinition, type ParameterType, type Variant } from '../kernels/kernel.ts';
import { elementAccess, narrowFunctions } from '../kernels/wgsl.ts';
import { bytesPerElement, isQuantized, type PlainDtype } from '../tensor/dtype.ts';
import { elementCount, isContiguous, type Shape } from '../tensor/shape.ts';
import type { StoragePiece } from '../tensor/storage.ts';
import { Tensor } from '../tensor/tensor.ts';

/**
 * Kernels over strided operands: one invocation makes `width` consecutive output elements from those of the inputs.
 * Axes that all operands walk densely are merged first, so that most calls become one flat loop.
 */

/** Axes that remain after merging may be no more than this. */
const maxRank = 6;

/** Invocations per workgroup of all strided kernels. */
const workgroupSize = 64;

/** Elements of one buffer, addressed by strides. Operand 0 of a launch is the output. */
export interface StridedOperand {
  readonly buffer: PooledBuffer;
  readonly dtype: PlainDtype;
  /** In elements, from the start of the buffer. */
  readonly offset: number;
  /** In elements, one per axis of the iteration shape. */
  readonly strides: readonly number[];
  /** The tensor that this is all of, where it can be bound as such: debug checks look at whole tensors. */
  readonly tensor?: Tensor | undefined;
}

/** The strided operand of a tensor in one piece, broadcast to the iteration shape. */
export function stridedOperand(operation: string, tensor: Tensor, shape: Shape = tensor.shape): StridedOperand {
  if (isQuantized(tensor.dtype)) throw new ShapeError(operation, `needs a plain dtype, not ${tensor.dtype}.`);
  const [piece, second] = tensor.storage.pieces;
  if (second) {
    const { maxStorageBinding } = tensor.gpu.capabilities;
    const what = `${operation}: ${tensor.dtype}[${tensor.shape}] in one binding`;
    throw new LimitError(what, tensor.gpu.bytesOf(tensor), 'maxStorageBufferBindingSize', maxStorageBinding);
  }
  const lead = shape.length - tensor.rank;
  const strides = shape.map((_, axis) => (tensor.shape[axis - lead] === 1 ? 0 : (tensor.strides[axis - lead] ?? 0)));
  return {
    buffer: (piece as StoragePiece).buffer,
    dtype: tensor.dtype,
    offset: tensor.offset,
    strides,
    tensor: tensor.gpu.bindable(tensor) && tensor.size > 0 ? tensor : undefined,
  };
}

/**
 * How a kernel moves the elements of one operand: one each, four at once, one for all four, or (packed outputs whose
 * words several invocations share) half a word each by integer atomics, which do not depend on the order.
 */
type AccessMode = 'scalar' | 'vector' | 'splat' | 'atomic';

/** The part of a strided kernel's variant that the plan decides; `modes` and `dtypes` have an entry per operand. */
export interface StridedVariant extends Variant {
  readonly rank: number;
  /** Output elements per invocation: 4 (vectors), 2 (one packed word) or 1. */
  readonly width: number;
  readonly dtypes: string;
  readonly modes: string;
  /** Every operand is dense or one number, from its binding's start: no index arithmetic. */
  readonly flat: boolean;
}

interface Plan {
  readonly variant: StridedVariant;
  readonly bindings: readonly LaunchBinding[];
  readonly parameters: readonly number[];
  readonly workgroups: number;
}

/** Drops axes of size 1 and merges neighbours that every operand walks densely. Innermost axis first. */
export function mergeAxes(
  shape: Shape,
  strides: readonly (readonly number[])[],
): { sizes: number[]; strides: number[][] } {
  const sizes: number[] = [];
  const merged: number[][] = strides.map(() => []);
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    const size = shape[axis] as number;
    if (size === 1) continue;
    const last = sizes.length - 1;
    const inner = sizes[last];
    const dense =
      inner !== undefined && strides.every((own, operand) => own[axis] === (merged[operand]?.[last] as number) * inner);
    if (dense) {
      sizes[last] = inner * size;
      continue;
    }
    sizes.push(size);
    merged.forEach((own, operand) => {
      own.push(strides[operand]?.[axis] as number);
    });
  }
  if (sizes.length === 0) {
    sizes.push(1);
    for (const own of merged) own.push(1);
  }
  return { sizes, strides: merged };
}

function isPacked(dtype: PlainDtype, capabilities: Capabilities): boolean {
  return dtype === 'bf16' || (dtype === 'f16' && !capabilities.f16);
}

function plan(operation: string, gpu: Gpu, shape: Shape, operands: readonly StridedOperand[]): Plan {
  const merged = mergeAxes(
    shape,
    operands.map((operand) => operand.strides),
  );
  const { sizes, strides } = merged;
  if (sizes.length > maxRank) {
    throw new ShapeError(
      operation,
      `[${shape}] has over ${maxRank} axes that cannot be merged; make the inputs contiguous.`,
    );
  }
  const total = sizes.reduce((product, size) => product * size, 1);
  const bound = operands.map((operand, index) => bind(gpu, operand, sizes, strides[index] as number[]));
  const output = operands[0] as StridedOperand;
  let width = 1;
  let modes: AccessMode[] = operands.map(() => 'scalar');
  if (isPacked(output.dtype, gpu.capabilities)) {
    const dense = isContiguous(shape, output.strides) && output.offset % 2 === 0;
    if (dense) width = 2;
    else modes[0] = 'atomic';
  } else {
    const vectors = operands.map((_, index) =>
      vectorMode(sizes, strides[index] as number[], bound[index]?.offset as number),
    );
    if (vectors[0] === 'vector' && vectors.every((mode) => mode !== 'scalar')) {
      width = 4;
      modes = vectors;
    }
  }
  const flat =
    sizes.length === 1 &&
    bound.every((binding) => binding.offset === 0) &&
    strides.every((own) => own[0] === 1 || own[0] === 0) &&
    (width === 4 || strides.every((own) => own[0] === 1));
  const inner = width === 4 ? 4 : 1;
  const padded = (values: readonly number[]) => [...values, ...new Array<number>(maxRank - values.length).fill(0)];
  const parameters = [total, ...padded(sizes.map((size, axis) => (axis === 0 ? size / inner : size)))];
  bound.forEach((binding, index) => {
    const own = strides[index] as number[];
    parameters.push(binding.offset, ...padded(own.map((stride, axis) => (axis === 0 ? stride * inner : stride))));
  });
  return {
    variant: {
      rank: sizes.length,
      width,
      dtypes: operands.map((operand) => operand.dtype).join(),
      modes: modes.join(),
      flat,
    },
    bindings: bound.map(({ range, offset }, index) => (offset === 0 ? operands[index]?.tensor : undefined) ?? range),
    parameters,
    workgroups: Math.ceil(total / width / workgroupSize),
  };
}

function vectorMode(sizes: readonly number[], strides: readonly number[], offset: number): AccessMode {
  if ((sizes[0] as number) % 4 !== 0) return 'scalar';
  if (strides[0] === 0) return 'splat';
  const aligned = strides[0] === 1 && offset % 4 === 0 && strides.slice(1).every((stride) => stride % 4 === 0);
  return aligned ? 'vector' : 'scalar';
}

/** Binds the aligned byte range that an operand touches; `offset` is what is left, in elements. */
function bind(gpu: Gpu, operand: StridedOperand, sizes: readonly number[], strides: readonly number[]): StridedRange {
  const elementBytes = bytesPerElement[operand.dtype];
  const alignment = gpu.capabilities.storageAlignment;
  const start = Math.floor((operand.offset * elementBytes) / alignment) * alignment;
  const last = sizes.reduce((sum, size, axis) => sum + (size - 1) * (strides[axis] as number), operand.offset);
  const end = Math.ceil(((last + 1) * elementBytes) / 4) * 4;
  return {
    range: { buffer: operand.buffer, offset: start, bytes: end - start },
    offset: operand.offset - start / elementBytes,
  };
}

/** A binding that holds a strided view, and where in it the view starts, in elements. */
export interface StridedRange {
  readonly range: BufferRange;
  readonly offset: number;
}

/**
 * The binding of a strided view with at least one element, for kernels that take strides as parameters.
 *
 * @throws ShapeError for a quantized tensor, LimitError for one that is split.
 */
export function stridedRange(operation: string, tensor: Tensor): StridedRange {
  return bind(tensor.gpu, stridedOperand(operation, tensor), tensor.shape, tensor.strides);
}

/** Names of the operands in WGSL: the output, then the inputs. */
const operandNames = ['out', 'a', 'b'] as const;

interface OperandSource {
  readonly name: string;
  readonly dtype: PlainDtype;
  readonly mode: AccessMode;
}

function operandSources(variant: StridedVariant): OperandSource[] {
  const modes = variant.modes.split(',') as AccessMode[];
  return (variant.dtypes.split(',') as PlainDtype[]).map((dtype, index) => ({
    name: operandNames[index] as string,
    dtype,
    mode: modes[index] as AccessMode,
  }));
}

function bindingType({ name, dtype, mode }: OperandSource, capabilities: Capabilities): string {
  if (mode === 'atomic') return 'array<atomic<u32>>';
  if (mode !== 'vector') return elementAccess(name, dtype, capabilities).type;
  return isPacked(dtype, capabilities) ? 'array<vec2<u32>>' : `array<vec4<${dtype}>>`;
}

/** WGSL type that elements of `dtype` are computed in. */
function valueType(dtype: PlainDtype): 'f32' | 'i32' | 'u32' {
  return dtype === 'f16' || dtype === 'bf16' ? 'f32' : dtype;
}

/** `fn <name>_index(position) -> u32`: where operand `name` has the element (or the first of four) at `position`. */
function indexFunction(name: string, variant: StridedVariant): string {
  const lines = ['  var rest = position;', `  var index = params.${name}_offset;`];
  for (let axis = 0; axis < variant.rank - 1; axis++) {
    lines.push(
      `  index += (rest % params.size${axis}) * params.${name}_stride${axis};`,
      `  rest /= params.size${axis};`,
    );
  }
  lines.push(`  return index + rest * params.${name}_stride${variant.rank - 1};`);
  return `\nfn ${name}_index(position: u32) -> u32 {\n${lines.join('\n')}\n}`;
}

/** Expression for an operand's value at `position`, widened to four where the kernel makes four. */
function loadAt(operand: OperandSource, variant: StridedVariant, capabilities: Capabilities, position: string): string {
  const { name, dtype, mode } = operand;
  if (mode === 'vector') {
    const index = variant.flat ? position : `${name}_index(${position}) >> 2u`;
    if (dtype === 'bf16') return `bfloat_vector(${name}[${index}])`;
    if (isPacked(dtype, capabilities)) return `half_vector(${name}[${index}])`;
    return dtype === 'f16' ? `vec4<f32>(${name}[${index}])` : `${name}[${index}]`;
  }
  const access = elementAccess(name, dtype, capabilities);
  if (mode === 'splat')
    return `vec4<${access.valueType}>(${access.load(variant.flat ? '0u' : `${name}_index(${position})`)})`;
  return access.load(variant.flat ? position : `${name}_index(${position})`);
}

/** WGSL of a strided kernel that stores `expression` of the inputs' values, which has the value type of the output. */
function stridedSource(
  variant: StridedVariant,
  capabilities: Capabilities,
  expression: (inputs: readonly string[]) => string,
): { declarations: string; main: string } {
  const [output, ...inputs] = operandSources(variant) as [OperandSource, ...OperandSource[]];
  const { dtype } = output;
  const type = variant.width === 4 ? `vec4<${valueType(dtype)}>` : valueType(dtype);
  const loads = inputs.map((input) => loadAt(input, variant, capabilities, 'position'));
  const indexes = variant.flat ? '' : [output, ...inputs].map(({ name }) => indexFunction(name, variant)).join('');
  const declarations = `${packedVectorFunctions}${narrowFunctions}${indexes}
fn value_at(position: u32) -> ${type} {
  return ${expression(loads)};
}`;
  const at = variant.flat ? 'position' : 'out_index(position)';
  const bits = dtype === 'f16' ? 'half_bits' : 'bfloat_bits';
  if (output.mode === 'atomic') {
    return {
      declarations,
      main: `
  let position = group * ${workgroupSize}u + lane;
  if (position >= params.total) { return; }
  let index = ${at};
  let shift = (index & 1u) * 16u;
  atomicAnd(&out[index >> 1u], ~(0xffffu << shift));
  atomicOr(&out[index >> 1u], ${bits}(value_at(position)) << shift);`,
    };
  }
  if (variant.width === 2) {
    // One invocation writes a whole word of a dense output.
    return {
      declarations,
      main: `
  let position = (group * ${workgroupSize}u + lane) * 2u;
  if (position >= params.total) { return; }
  let low = ${bits}(value_at(position));
  let high = ${bits}(value_at(min(position + 1u, params.total - 1u)));
  out[(${at}) >> 1u] = low | (high << 16u);`,
    };
  }
  const vector = variant.width === 4;
  const narrow = dtype === 'f16' ? (vector ? 'vec4<f16>' : 'f16') : '';
  return {
    declarations,
    main: `
  let position = group * ${workgroupSize}u + lane;
  if (position >= ${vector ? 'params.total / 4u' : 'params.total'}) { return; }
  out[${vector && !variant.flat ? `${at} >> 2u` : at}] = ${narrow}(value_at(position));`,
  };
}

/** Four elements out of two packed words. */
const packedVectorFunctions = `
fn half_vector(words: vec2<u32>) -> vec4<f32> {
  return vec4<f32>(unpack2x16float(words.x), unpack2x16float(words.y));
}
fn bfloat_vector(words: vec2<u32>) -> vec4<f32> {
  return bitcast<vec4<f32>>(vec4<u32>(words.x << 16u, words.x & 0xffff0000u, words.y << 16u, words.y & 0xffff0000u));
}`;

/** What distinguishes one strided kernel from another. */
export interface StridedKernel<V extends Variant> {
  readonly name: string;
  readonly inputs: 1 | 2;
  /** Parameters of its own, after those of the iteration. */
  readonly parameters?: readonly (readonly [string, ParameterType])[];
  /** WGSL functions that the expression calls. */
  readonly declarations?: (variant: V & StridedVariant, type: string) => string;
  /** WGSL value of the output from those of the inputs; scalars, or vec4 where `variant.width` is 4. */
  readonly expression: (variant: V & StridedVariant, inputs: readonly string[], type: string) => string;
}

/** Declares a kernel whose operands {@link launchStrided} plans. */
export function defineStridedKernel<V extends Variant>(kernel: StridedKernel<V>): KernelDefinition<V & StridedVariant> {
  const parameters: (readonly [string, ParameterType])[] = [['total', 'u32']];
  const perAxis = (name: string) => Array.from({ length: maxRank }, (_, axis) => [`${name}${axis}`, 'u32'] as const);
  parameters.push(...perAxis('size'));
  for (const name of operandNames.slice(0, kernel.inputs + 1)) {
    parameters.push([`${name}_offset`, 'u32'], ...perAxis(`${name}_stride`));
  }
  return defineKernel<V & StridedVariant>({
    name: kernel.name,
    bindings: (variant, capabilities) =>
      operandSources(variant).map((operand, index) => ({
        name: operand.name,
        type: bindingType(operand, capabilities),
        access: index === 0 ? 'read_write' : 'read',
      })),
    parameters: [...parameters, ...(kernel.parameters ?? [])],
    workgroupSize: () => workgroupSize,
    source: (variant, capabilities) => {
      const [output] = operandSources(variant) as [OperandSource];
      const scalar = valueType(output.dtype);
      const type = variant.width === 4 ? `vec4<${scalar}>` : scalar;
      const source = stridedSource(variant, capabilities, (inputs) => kernel.expression(variant, inputs, type));
      return { ...source, declarations: `${kernel.declarations?.(variant, type) ?? ''}${source.declarations}` };
    },
  });
}

/** One launch of a strided kernel. */
export interface StridedLaunch<V extends Variant> {
  /** Named in errors. */
  readonly operation: string;
  /** Iteration shape: that of the output. */
  readonly shape: Shape;
  /** Output first. */
  readonly operands: readonly StridedOperand[];
  readonly variant: V;
  readonly parameters?: readonly number[];
  readonly flopsPerElement?: number;
}

/**
 * Plans and records a launch.
 *
 * @throws ShapeError where more than {@link maxRank} axes are left after merging.
 */
export function launchStrided<V extends Variant>(
  gpu: Gpu,
  kernel: KernelDefinition<V & StridedVariant>,
  launch: StridedLaunch<V>,
): void {
  if (elementCount(launch.shape) === 0) return;
  const { variant, bindings, parameters, workgroups } = plan(launch.operation, gpu, launch.shape, launch.operands);
  const [total = 0] = parameters;
  const bytes = bindings.reduce((sum, each) => sum + (each instanceof Tensor ? gpu.bytesOf(each) : each.bytes), 0);
  gpu.launch(
    kernel,
    { ...launch.variant, ...variant },
    {
      bindings,
      parameters: [...parameters, ...(launch.parameters ?? [])],
      workgroups,
      cost: { flops: total * (launch.flopsPerElement ?? 0), bytes },
    },
  );
}
