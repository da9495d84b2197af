import { ShapeError } from '../../errors.ts';
import type { BindingDeclaration } from '../../kernels/kernel.ts';
import { sameShape } from '../../tensor/shape.ts';
import type { Tensor } from '../../tensor/tensor.ts';

/** Binding of the control of a step, see `Optimizer.step`; the last of a kernel. */
export function controlBinding(controlled: boolean): BindingDeclaration[] {
  return controlled ? [{ name: 'control', type: 'array<f32>', access: 'read' }] : [];
}

/** WGSL behind a condition to return. */
export function skipped(controlled: boolean): string {
  return controlled ? ' || control[1] == 0.0' : '';
}

/** WGSL behind a gradient. */
export function factor(controlled: boolean): string {
  return controlled ? ' * control[0]' : '';
}

/** @throws ShapeError */
export function checkControl(optimizer: string, control: Tensor | undefined): void {
  if (control && (control.dtype !== 'f32' || !sameShape(control.shape, [2])))
    throw new ShapeError(optimizer, `the control is ${control.dtype}[${control.shape}]; it needs f32 [2].`);
}
