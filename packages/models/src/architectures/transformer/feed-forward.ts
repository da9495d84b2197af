import { gatedActivation, gatedLinear, gelu, silu, type Tensor } from '@saccade/core';
import type { TransformerConfig } from '../../weights/model-config.ts';
import { project } from './project.ts';
import type { LayerWeights } from './weights.ts';

/** The MLP up to its down projection: x [N, E] gives [N, F]. */
export function feedForward({ activation, gatedMlp }: TransformerConfig, { gateUp }: LayerWeights, x: Tensor): Tensor {
  const [joint] = gateUp;
  if (gatedMlp && joint && gateUp.length === 1 && !joint.bias) return gatedLinear(x, joint.weight, { activation });
  const [first, up] = gateUp.map((projection) => project(x, projection)) as [Tensor, Tensor?];
  if (up) return gatedActivation(first, up, { activation });
  if (gatedMlp) return gatedActivation(first, { activation });
  return activate(first, activation);
}

/** The network's activation of every element. */
export function activate(x: Tensor, activation: TransformerConfig['activation']): Tensor {
  if (activation === 'silu') return silu(x);
  return gelu(x, { approximate: ({ gelu: 'none', geluTanh: 'tanh', geluSigmoid: 'sigmoid' } as const)[activation] });
}
