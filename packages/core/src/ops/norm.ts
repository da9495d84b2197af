import type { Gpu } from '../device/gpu.ts';
import { ArgumentError, ShapeError } from '../errors.ts';
import { type BindingDeclaration, defineKernel, type Variant } from '../kernels/kernel.ts';
import { elementAccess } from '../kernels/wgsl.ts';
import { lanesPerRow, workgroupReduction } from '../kernels/wgsl-reduce.ts';
import type { PlainDtype } from '../tensor/dtype.ts';
import { sameShape } from '../tensor/shape.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { contiguous } from './copy.ts';

interface NormVariant extends Variant {
  readonly kind: 'rms' | 'layer';
  readonly lanes: number;
  readonly x: PlainDtype;
  readonly weight: PlainDtype;
  /** Dtype of the bias, or none. */
  readonly bias: PlainDtype | 'none';
  /** Dtype of a residual that is added first, or none. */
  readonly residual: PlainDtype | 'none';
  /** Dtype of what is added to the result, or none. */
  readonly addend: PlainDtype | 'none';
  /** Rows choose among several weights and biases. */
  readonly grouped: boolean;
}

/**
 * One workgroup per row. `normed[r, c] = (x[r, c] - mean) / spread * weight[c] + bias[c] + addend[r, c]`, the mean 0 for RMS
 * norms.
 */
const normKernel = defineKernel<NormVariant>({
  name: 'norm',
  bindings: (variant, capabilities) => {
    const input = (name: string, dtype: PlainDtype): BindingDeclaration => ({
      name,
      type: elementAccess(name, dtype, capabilities).type,
      access: 'read',
    });
    const bindings = [input('x', variant.x), input('weight', variant.weight)];
    if (variant.bias !== 'none') bindings.push(input('bias', variant.bias));
    if (variant.residual !== 'none') bindings.push(input('residual', variant.residual));
    if (variant.addend !== 'none') bindings.push(input('addend', variant.addend));
    if (variant.grouped) bindings.push({ name: 'row_groups', type: 'array<u32>', access: 'read' });
    bindings.push({ name: 'normed', type: 'array<f32>', access: 'read_write' });
    if (variant.residual !== 'none') bindings.push({ name: 'total', type: 'array<f32>', access: 'read_write' });
    return bindings;
  },
  parameters: [
    ['columns', 'u32'],
    ['epsilon', 'f32'],
  ],
  workgroupSize: ({ lanes }) => lanes,
  source: ({ kind, lanes, x, weight, bias, residual, addend, grouped }, capabilities) => {
    const load = (name: string, dtype: PlainDtype, index: string) =>
      elementAccess(name, dtype, capabilities).load(index);
    const each = (body: string) =>
      `  for (var column = lane; column < params.columns; column += ${lanes}u) {\n${body}\n  }`;
    // After the first pass over a row with a residual, its lanes read back what they wrote themselves.
    const value = residual === 'none' ? load('x', x, 'base + column') : 'total[base + column]';
    const added =
      residual === 'none'
        ? ''
        : each(
            `    total[base + column] = ${load('x', x, 'base + column')} + ${load('residual', residual, 'base + column')};`,
          );
    const mean = kind === 'rms' ? 'let mean = 0.0;' : `let mean = row_sum(sum, lane) / f32(params.columns);`;
    const centered = kind === 'rms' ? value : `(${value} - mean)`;
    const inVector = grouped ? 'vector + column' : 'column';
    const shift = bias === 'none' ? '' : ` + ${load('bias', bias, inVector)}`;
    const outer = addend === 'none' ? '' : ` + ${load('addend', addend, 'base + column')}`;
    return {
      declarations: workgroupReduction('row_sum', lanes, 'a + b', capabilities),
      main: `
  let base = group * params.columns;${grouped ? '\n  let vector = row_groups[group] * params.columns;' : ''}
${added}
  ${kind === 'rms' ? '' : `var sum = 0.0;\n${each(`    sum += ${value};`)}`}
  ${mean}
  var squares = 0.0;
${each(`    let deviation = ${centered};\n    squares += deviation * deviation;`)}
  let factor = inverseSqrt(row_sum(squares, lane) / f32(params.columns) + params.epsilon);
${each(`    normed[base + column] = (${value} - mean) * factor * ${load('weight', weight, inVector)}${shift}${outer};`)}`,
    };
  },
});

export interface NormOptions {
  /** Small number inside the square root. Default 1e-6 for RMS norms, 1e-5 for layer norms. */
  readonly epsilon?: number;
  /** Floats in the shape of x that are added to the result, as after a norm of a branch's output. */
  readonly residual?: Tensor;
}

export interface LayerNormOptions extends NormOptions {
  /**
   * Adaptive norms: the row of weight and bias that each row of x takes, u32 [rows of x], below G; weight and bias are [G, E] then.
   */
  readonly rowGroups?: Tensor | undefined;
}

/** A sum and its norm. */
export interface AddedNorm {
  /** x + residual, f32 [..., E]. */
  readonly sum: Tensor;
  /** The norm of `sum`, f32 [..., E]. */
  readonly normed: Tensor;
}

function floatDtype(operation: string, name: string, tensor: Tensor): PlainDtype {
  const { dtype } = tensor;
  if (dtype !== 'f32' && dtype !== 'f16' && dtype !== 'bf16') {
    throw new ShapeError(operation, `${name} is ${dtype}; allowed: f32, f16, bf16.`);
  }
  return dtype;
}

function checkVector(operation: string, name: string, vector: Tensor, columns: number, grouped: boolean): void {
  if (vector.rank !== (grouped ? 2 : 1) || vector.shape.at(-1) !== columns) {
    const expected = grouped ? `[G, ${columns}]` : `[${columns}]`;
    throw new ShapeError(operation, `${name} is [${vector.shape}]; x asks for ${expected}.`);
  }
}

function checkRowGroups(operation: string, rowGroups: Tensor, rows: number): void {
  if (rowGroups.dtype !== 'u32' || rowGroups.rank !== 1 || rowGroups.shape[0] !== rows) {
    throw new ShapeError(operation, `rowGroups are ${rowGroups.dtype}[${rowGroups.shape}]; expected u32 [${rows}].`);
  }
}

interface NormInputs {
  readonly x: Tensor;
  readonly weight: Tensor;
  readonly bias?: Tensor | undefined;
  readonly residual?: Tensor | undefined;
  readonly addend?: Tensor | undefined;
  readonly rowGroups?: Tensor | undefined;
}

function launchNorm(operation: string, kind: 'rms' | 'layer', inputs: NormInputs, epsilon: number): AddedNorm {
  const { x, weight, bias, residual, addend, rowGroups } = inputs;
  const { gpu } = x;
  const columns = x.shape.at(-1);
  if (columns === undefined) throw new ShapeError(operation, 'x is a scalar; it needs at least one axis.');
  if (!(Number.isFinite(epsilon) && epsilon >= 0)) {
    throw new ArgumentError(`${operation}: epsilon`, epsilon, 'a finite number of 0 or more');
  }
  const grouped = rowGroups !== undefined;
  checkVector(operation, 'weight', weight, columns, grouped);
  if (bias) checkVector(operation, 'bias', bias, columns, grouped);
  if (rowGroups) checkRowGroups(operation, rowGroups, columns === 0 ? 0 : x.size / columns);
  for (const other of [residual, addend]) {
    if (other && !sameShape(other.shape, x.shape)) {
      throw new ShapeError(operation, `residual is [${other.shape}], x is [${x.shape}].`);
    }
  }
  const variant: NormVariant = {
    kind,
    lanes: lanesPerRow(columns, gpu.capabilities),
    x: floatDtype(operation, 'x', x),
    weight: floatDtype(operation, 'weight', weight),
    bias: bias ? floatDtype(operation, 'bias', bias) : 'none',
    residual: residual ? floatDtype(operation, 'residual', residual) : 'none',
    addend: addend ? floatDtype(operation, 'residual', addend) : 'none',
    grouped,
  };
  return gpu.tidy(() => {
    const normed = gpu.empty(x.shape);
    const sum = residual ? gpu.empty(x.shape) : normed;
    const read = [x, weight, bias, residual, addend, rowGroups]
      .filter((tensor) => tensor !== undefined)
      .map(contiguous);
    gpu.launch(normKernel, variant, {
      bindings: residual ? [...read, normed, sum] : [...read, normed],
      parameters: [columns, epsilon],
      workgroups: x.size === 0 ? 0 : x.size / columns,
      cost: {
        flops: (kind === 'rms' ? 4 : 7) * x.size,
        bytes: costBytes(gpu, read, residual ? [normed, sum] : [normed]),
      },
    });
    return { sum, normed };
  });
}

function costBytes(gpu: Gpu, read: readonly Tensor[], written: readonly Tensor[]): number {
  return [...read, ...written].reduce((sum, tensor) => sum + gpu.bytesOf(tensor), 0);
}

/**
 * Root-mean-square norm over the last axis: `x / sqrt(mean(x^2) + epsilon) * weight` (Zhang and Sennrich, 2019).
 *
 * @param x floats [..., E]
 * @param weight floats [E]
 * @returns f32 [..., E]
 * @throws ShapeError where shapes or dtypes do not fit, ArgumentError for a bad epsilon.
 */
export function rmsNorm(x: Tensor, weight: Tensor, options: NormOptions = {}): Tensor {
  return launchNorm('rmsNorm', 'rms', { x, weight, addend: options.residual }, options.epsilon ?? 1e-6).normed;
}

/**
 * Layer norm over the last axis: `(x - mean) / sqrt(variance + epsilon) * weight + bias` (Ba et al., 2016). The variance
 * is that of the deviations, so a large common offset costs no digits.
 *
 * @param x floats [..., E]
 * @param weight floats [E], or [G, E] with `rowGroups`
 * @param bias as `weight`, or undefined for none
 * @returns f32 [..., E]
 * @throws ShapeError where shapes or dtypes do not fit, ArgumentError for a bad epsilon.
 */
export function layerNorm(x: Tensor, weight: Tensor, bias?: Tensor, options: LayerNormOptions = {}): Tensor {
  const { residual: addend, rowGroups, epsilon = 1e-5 } = options;
  return launchNorm('layerNorm', 'layer', { x, weight, bias, addend, rowGroups }, epsilon).normed;
}

/**
 * {@link rmsNorm} of `x + residual` in one dispatch, which also gives the sum.
 *
 * @throws ShapeError where shapes or dtypes do not fit, ArgumentError for a bad epsilon.
 */
export function addRmsNorm(
  x: Tensor,
  residual: Tensor,
  weight: Tensor,
  options: Pick<NormOptions, 'epsilon'> = {},
): AddedNorm {
  return launchNorm('addRmsNorm', 'rms', { x, weight, residual }, options.epsilon ?? 1e-6);
}
