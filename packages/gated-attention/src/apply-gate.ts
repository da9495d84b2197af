import { ShapeError } from '@saccade/core';
import { add, gatedActivation, multiply, scale, sigmoid, silu, type Value } from '@saccade/core/autodiff';
import type { GatedAttentionOptions } from './options.ts';

/** What becomes of gate logits. */
export type GateForm = Pick<GatedAttentionOptions, 'activation' | 'mode'>;

/**
 * The gate (Qiu et al., 2025, section 2.2): `y * activation(logits)`, or `y + activation(logits)`. One dispatch for products with
 * `sigmoid` and `silu`; differentiable by both.
 *
 * @param y f32 [B, N, H, D], views included
 * @param logits f32, broadcast to y: [B, N, H or 1, D or 1]
 * @returns f32 [B, N, H, D]
 * @throws ShapeError where the logits do not broadcast to y
 */
export function applyGate(y: Value, logits: Value, form: GateForm = {}): Value {
  const { activation = 'sigmoid', mode = 'multiplicative' } = form;
  if (logits.rank !== y.rank || logits.shape.some((size, axis) => size !== 1 && size !== y.shape[axis])) {
    throw new ShapeError('applyGate', `logits are [${logits.shape}]; they need to broadcast to y, [${y.shape}].`);
  }
  return y.gpu.tidy(() => {
    if (mode === 'multiplicative' && (activation === 'sigmoid' || activation === 'silu')) {
      return gatedActivation(logits.broadcastTo(y.shape), y, { activation });
    }
    const gate = activateGate(logits, activation);
    return mode === 'multiplicative' ? multiply(y, gate) : add(y, gate);
  });
}

/** The activated logits: f32, same shape. */
export function activateGate(logits: Value, activation: GateForm['activation'] = 'sigmoid'): Value {
  switch (activation) {
    case 'sigmoid':
      return sigmoid(logits);
    case 'silu':
      return silu(logits);
    case 'nsSigmoid':
      return scale(sigmoid(logits), 0.5, 0.5);
    case 'identity':
      return scale(logits, 1);
  }
}
