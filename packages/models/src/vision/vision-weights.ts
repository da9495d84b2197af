import type { WeightFile, WeightInfo } from '../weights/types.ts';

/** What names of the published checkpoints and of transformers' later layouts begin with, and what they begin with here. */
const prefixes: readonly (readonly [stored: RegExp, canonical: string])[] = [
  [/^(model\.)?vision_tower\.(vision_model\.)?/, 'vision.'],
  [/^model\.vision_model\./, 'vision.'],
  [/^(model\.)?visual\./, 'vision.'],
  [/^(model\.)?multi_modal_projector\./, 'projector.'],
  [/^model\.connector\./, 'projector.'],
  [/^language_model\.model\./, 'model.'],
  [/^language_model\.lm_head\./, 'lm_head.'],
  [/^model\.(language_model|text_model)\./, 'model.'],
];

/**
 * A vision-language checkpoint under names of one kind: the language model's as in a checkpoint of its own, the vision tower's
 * under `vision.`, the projector's under `projector.`. Kernels of convolutions over patches are matrices, a row per output.
 */
export function visionLanguageWeights(file: WeightFile): WeightFile {
  const stored = new Map(file.tensorNames().map((name) => [canonicalName(name), name]));
  const storedName = (name: string) => stored.get(name) ?? name;
  return {
    format: file.format,
    metadata: file.metadata,
    tensorNames: () => [...stored.keys()],
    has: (name) => stored.has(name),
    info: (name) => ({ ...flattened(file.info(storedName(name))), name }),
    read: (name, rows) => file.read(storedName(name), rows),
    close: () => file.close(),
  };
}

function canonicalName(name: string): string {
  for (const [stored, canonical] of prefixes) if (stored.test(name)) return name.replace(stored, canonical);
  return name;
}

function flattened(info: WeightInfo): WeightInfo {
  const [rows, ...others] = info.shape;
  if (rows === undefined || others.length < 3) return info;
  return { ...info, shape: [rows, others.reduce((product, size) => product * size, 1)] };
}
