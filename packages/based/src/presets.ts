import type { BasedConfig } from './config.ts';
import type { LayerKind } from './layer-kind.ts';

/** Layers of which most are convolutions. */
function hybrid(layers: number, linear: readonly number[], window: readonly number[]): LayerKind[] {
  return Array.from({ length: layers }, (_, at) =>
    linear.includes(at) ? 'linear' : window.includes(at) ? 'window' : 'conv',
  );
}

const published = {
  vocabularySize: 50_257,
  heads: 16,
  featureDim: 16,
  windowSize: 256,
  mlpRatio: 2,
  contextLength: 2048,
};

/** The released 360M model (27 layers of 1024). */
export const based360M: BasedConfig = {
  ...published,
  hiddenSize: 1024,
  layers: hybrid(27, [1, 6, 11, 16, 21], [2, 7, 12, 17, 22]),
};

/** The released 1.3B model (36 layers of 1792). */
export const based1300M: BasedConfig = {
  ...published,
  hiddenSize: 1792,
  layers: hybrid(36, [1, 6, 11, 16, 21, 27, 33], [2, 7, 12, 17, 22, 28, 34]),
};

/** Mixers that the recall task is learned with. */
export type RecallMixer = 'attention' | 'window' | 'linear' | 'based';

/**
 * A model for multi-query associative recall: twice a BaseConv and a mixer, without MLPs (figure 2); `based` has a linear layer and a window
 * layer.
 */
export function recallModel(
  mixer: RecallMixer,
  sizes: Pick<BasedConfig, 'vocabularySize' | 'hiddenSize' | 'featureDim' | 'windowSize' | 'contextLength'>,
): BasedConfig {
  const [first, second]: [LayerKind, LayerKind] = mixer === 'based' ? ['linear', 'window'] : [mixer, mixer];
  return { ...sizes, heads: 1, mlpRatio: 0, layers: ['conv', first, 'conv', second] };
}
