import { type BasedConfig, fullBasedConfig } from './config.ts';
import { visibleTokens } from './sliding-window.ts';
import { taylorFeatureCount } from './taylor-feature-map.ts';

/**
 * Bytes of what a model keeps of a sequence, f32: of a linear layer `H (f + 1)(f + 2) / 2 (dv + 1)` numbers, of a window layer keys and
 * values of its visible tokens, of a convolution its last inputs, of full attention keys and values of all `tokens`. Equals the
 * `bytes` of a cache with that capacity.
 */
export function stateBytes(config: BasedConfig, tokens: number): number {
  const { layers, hiddenSize, heads, featureDim, windowSize, kernelSize, expansion } = fullBasedConfig(config);
  const numbers = {
    conv: ((expansion * hiddenSize) / 2) * (kernelSize - 1),
    linear: heads * taylorFeatureCount(featureDim, { symmetric: true }) * (hiddenSize / heads + 1),
    window: 2 * hiddenSize * visibleTokens(windowSize),
    attention: 2 * hiddenSize * tokens,
  };
  return 4 * layers.reduce((sum, kind) => sum + numbers[kind], 0);
}
