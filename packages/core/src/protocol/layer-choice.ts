import { OptionError } from './option-error.ts';

/** A layer as an index (0-based, counted in the layers that a method acts on) or as a fraction of depth in (0, 1). */
export type LayerChoice = number | { readonly fraction: number };

/** Layers between two shares of depth, `to` not included: `{ from: 0, to: 1 }` are all. */
export interface LayerRange {
  readonly from: number;
  readonly to: number;
}

/** Several layers: a range of depth, or single ones. */
export type LayersChoice = LayerRange | readonly LayerChoice[];

/**
 * The index that a layer choice means in a model of `layers` layers; a fraction is rounded to the nearest layer.
 *
 * @throws OptionError if the index is outside the model.
 */
export function resolveLayer(layerChoice: LayerChoice, layers: number, option = 'layer'): number {
  if (typeof layerChoice !== 'number') return Math.min(layers - 1, Math.round(layerChoice.fraction * layers));
  if (!Number.isInteger(layerChoice) || layerChoice < 0 || layerChoice >= layers) {
    throw new OptionError(option, layerChoice, `an index from 0 to ${layers - 1} (this model's layers), or a fraction`);
  }
  return layerChoice;
}

/**
 * The indices that a choice of layers means in a model of `layers` layers, ascending, each once. Ends of a range are
 * rounded to the nearest layer; a range that is not empty holds at least one.
 *
 * @throws OptionError if an index is outside the model.
 */
export function resolveLayers(choice: LayersChoice, layers: number, option = 'layers'): number[] {
  if (!isRange(choice)) {
    const indices = choice.map((each) => resolveLayer(each, layers, option));
    return [...new Set(indices)].sort((a, b) => a - b);
  }
  const first = Math.min(layers - 1, Math.round(choice.from * layers));
  const end = Math.max(first + 1, Math.round(choice.to * layers));
  return Array.from({ length: end - first }, (_, index) => first + index);
}

/** Whether a value is a {@link LayerChoice}. */
export function isLayer(value: unknown): boolean {
  if (typeof value === 'number') return Number.isSafeInteger(value) && value >= 0;
  if (typeof value !== 'object' || value === null) return false;
  const { fraction, ...rest } = value as { fraction?: unknown };
  return typeof fraction === 'number' && fraction > 0 && fraction < 1 && Object.keys(rest).length === 0;
}

/** Whether a value is a {@link LayersChoice}. */
export function isLayers(value: unknown): boolean {
  if (Array.isArray(value)) return value.every(isLayer);
  if (typeof value !== 'object' || value === null) return false;
  const { from, to, ...rest } = value as { from?: unknown; to?: unknown };
  const valid = typeof from === 'number' && typeof to === 'number' && from >= 0 && from < to && to <= 1;
  return valid && Object.keys(rest).length === 0;
}

function isRange(choice: LayersChoice): choice is LayerRange {
  return 'from' in choice;
}
