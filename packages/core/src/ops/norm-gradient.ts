import { type BindingDeclaration, defineKernel, type Variant } from '../kernels/kernel.ts';
import { elementAccess } from '../kernels/wgsl.ts';
import { lanesPerRow, workgroupReduction } from '../kernels/wgsl-reduce.ts';
import type { PlainDtype } from '../tensor/dtype.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { contiguous } from './copy.ts';
import { sumTo } from './sum-to.ts';

/** The norm over the last axis: by its root mean square, or by mean and variance. */
export type NormKind = 'rms' | 'layer';

interface NormGradientVariant extends Variant {
  readonly kind: NormKind;
  /** Of x; or of the weight, one summand per row. */
  readonly of: 'x' | 'weight';
  readonly lanes: number;
  readonly x: PlainDtype;
  readonly weight: PlainDtype;
}

/**
 * One workgroup per row, with n the normed row before weight and bias and s its factor: of x `s (h - mean(h) - n mean(h n))`
 * with h = gradient weight (without mean(h) for RMS norms); of the weight `gradient n`.
 */
const normGradientKernel = defineKernel<NormGradientVariant>({
  name: 'normGradient',
  bindings: (variant, capabilities) => {
    const input = (name: string, dtype: PlainDtype): BindingDeclaration => ({
      name,
      type: elementAccess(name, dtype, capabilities).type,
      access: 'read',
    });
    return [
      input('x', variant.x),
      ...(variant.of === 'x' ? [input('weight', variant.weight)] : []),
      input('gradient', 'f32'),
      { name: 'result', type: 'array<f32>', access: 'read_write' },
    ];
  },
  parameters: [
    ['columns', 'u32'],
    ['epsilon', 'f32'],
  ],
  workgroupSize: ({ lanes }) => lanes,
  source: ({ kind, of, lanes, x, weight }, capabilities) => {
    const value = elementAccess('x', x, capabilities).load('base + column');
    const scaled = `gradient[base + column] * ${elementAccess('weight', weight, capabilities).load('column')}`;
    const each = (body: string) => `for (var column = lane; column < params.columns; column += ${lanes}u) { ${body} }`;
    const statistics = `
  let base = group * params.columns;
  let count = f32(params.columns);
  var sum = 0.0;
  ${kind === 'layer' ? each(`sum += ${value};`) : ''}
  let mean = ${kind === 'layer' ? 'row_sum(sum, lane) / count' : '0.0'};
  var squares = 0.0;
  ${each(`let deviation = ${value} - mean; squares += deviation * deviation;`)}
  let factor = inverseSqrt(row_sum(squares, lane) / count + params.epsilon);`;
    const ofX = `
  var along = 0.0;
  var level = 0.0;
  ${each(`let h = ${scaled}; along += h * (${value} - mean) * factor; level += h;`)}
  let slope = row_sum(along, lane) / count;
  let height = ${kind === 'layer' ? 'row_sum(level, lane) / count' : '0.0'};
  ${each(`result[base + column] = factor * (${scaled} - height - (${value} - mean) * factor * slope);`)}`;
    return {
      declarations: workgroupReduction('row_sum', lanes, 'a + b', capabilities),
      main: `${statistics}${of === 'x' ? ofX : `\n  ${each(`result[base + column] = gradient[base + column] * (${value} - mean) * factor;`)}`}`,
    };
  },
});

export interface NormGradientInputs {
  readonly x: Tensor;
  readonly weight: Tensor;
  /** f32 in the shape of x. */
  readonly gradient: Tensor;
  readonly epsilon: number;
}

function launchGradient(kind: NormKind, of: 'x' | 'weight', inputs: NormGradientInputs): Tensor {
  const { x, weight, gradient, epsilon } = inputs;
  const { gpu } = x;
  const columns = x.shape.at(-1) as number;
  const result = gpu.empty(x.shape);
  const read = (of === 'x' ? [x, weight, gradient] : [x, gradient]).map(contiguous);
  gpu.launch(
    normGradientKernel,
    {
      kind,
      of,
      lanes: lanesPerRow(columns, gpu.capabilities),
      x: x.dtype as PlainDtype,
      weight: of === 'x' ? (weight.dtype as PlainDtype) : 'f32',
    },
    {
      bindings: [...read, result],
      parameters: [columns, epsilon],
      workgroups: x.size === 0 ? 0 : x.size / columns,
      cost: { flops: 14 * x.size, bytes: gpu.bytesOf(x) + 8 * x.size },
    },
  );
  return result;
}

/** The gradient of {@link rmsNorm} or {@link layerNorm} by x: f32 in its shape. */
export function normInputGradient(kind: NormKind, inputs: NormGradientInputs): Tensor {
  return inputs.x.gpu.tidy(() => launchGradient(kind, 'x', inputs));
}

/** The gradient by the weight: f32 [E]. Rows are added in a fixed order. */
export function normWeightGradient(kind: NormKind, inputs: NormGradientInputs): Tensor {
  return inputs.x.gpu.tidy(() => sumTo(launchGradient(kind, 'weight', inputs), inputs.weight.shape));
}
