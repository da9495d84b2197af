import type { Value } from '../../autodiff/index.ts';
import { scanForNonFinite } from '../../kernels/scan-for-non-finite.ts';
import { contiguous } from '../../ops/copy.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import type { Module } from '../module.ts';
import { inspectedModuleGradients } from '../module-gradients.ts';

const none = 0xffffffff;

/**
 * The first tensor of a pass that holds NaN or infinity, in the order of computation: a parameter, the result of an operation, or a
 * gradient. Runs the passes again; one readback.
 *
 * @param losses of the batches of a step
 */
export async function findNonFinite(module: Module, losses: readonly (() => Value)[]): Promise<string | undefined> {
  const names: string[] = [];
  const [parameter] = module.parameters().values();
  if (!parameter) return undefined;
  const { gpu } = parameter.tensor;
  const first = gpu.keep(gpu.tensor([none], [1], 'u32'));
  const scan = (name: string, tensor: Tensor) => {
    const { dtype: format, size } = tensor;
    if ((format !== 'f32' && format !== 'f16' && format !== 'bf16') || size === 0) return;
    gpu.tidy(() =>
      gpu.launch(
        scanForNonFinite,
        { format },
        { bindings: [contiguous(tensor), first], parameters: [size, names.length], workgroups: Math.ceil(size / 64) },
      ),
    );
    names.push(name);
  };
  try {
    for (const [name, { tensor }] of module.parameters()) scan(`parameter ${name}`, tensor);
    for (const loss of losses) {
      gpu.tidy(() => {
        let operation = 0;
        const { gradients } = inspectedModuleGradients(module, loss, (name, output) =>
          scan(`the result [${output.shape}] of operation ${++operation}, ${name},`, output),
        );
        for (const [name, gradient] of Object.entries(gradients)) scan(`the gradient of ${name}`, gradient);
      });
    }
    const [found = none] = await first.read();
    return names[found];
  } finally {
    first.dispose();
  }
}
