import { basedOptions, type RecallMixer } from '../src/index.ts';

/** Windows of the recall task's length would be full attention. */
const windowSize = { ...basedOptions.windowSize, default: 16 };
const { featureDim } = basedOptions;

/** Based's layers as the bench lists them: models of these are trained, only in the scenario of their own. */
const shared = { phases: ['prefill'] as const, create: () => undefined };

export const basedEntry = {
  ...shared,
  name: 'based',
  title: 'Based',
  description: 'A layer of linear attention over Taylor features, then one of exact attention in a small window.',
  paper: 'arXiv 2402.18668',
  role: 'method' as const,
  options: { featureDim, windowSize },
};

export const linearAloneEntry = {
  ...shared,
  name: 'based-linear',
  title: 'Linear attention alone',
  description: 'Both layers are linear attention over Taylor features.',
  role: 'baseline' as const,
  options: { featureDim },
};

export const windowAloneEntry = {
  ...shared,
  name: 'based-window',
  title: 'Sliding window alone',
  description: 'Both layers are exact attention in a small window.',
  role: 'baseline' as const,
  options: { windowSize },
};

/** The mixer that an entry of the bench means; the dense run is full attention. */
export const mixerOfEntry: Readonly<Record<string, RecallMixer>> = {
  dense: 'attention',
  [basedEntry.name]: 'based',
  [linearAloneEntry.name]: 'linear',
  [windowAloneEntry.name]: 'window',
};
