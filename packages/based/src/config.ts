import { ArgumentError, parseOptions } from '@saccade/core';
import { type LayerKind, layerKinds } from './layer-kind.ts';
import { type BasedOptions, basedOptions, type ResolvedBasedOptions } from './options.ts';

/** A hybrid language model; the settings of its layers are {@link basedOptions}. */
export interface BasedConfig extends BasedOptions {
  readonly vocabularySize: number;
  /** d */
  readonly hiddenSize: number;
  /** The mixer of each layer. */
  readonly layers: readonly LayerKind[];
  /** Positions that rotary tables of window and attention layers cover. Default 2048. */
  readonly contextLength?: number;
}

/** A configuration with its defaults filled in. */
export interface FullBasedConfig
  extends ResolvedBasedOptions,
    Required<Pick<BasedConfig, 'vocabularySize' | 'hiddenSize' | 'layers' | 'contextLength'>> {}

/** @throws ArgumentError, OptionError for a value out of its range */
export function fullBasedConfig({
  vocabularySize,
  hiddenSize,
  layers,
  contextLength = 2048,
  ...given
}: BasedConfig): FullBasedConfig {
  const options = parseOptions(basedOptions, given);
  const { heads, expansion } = options;
  for (const [name, value] of Object.entries({ vocabularySize, hiddenSize, contextLength })) {
    check(name, value, 'an integer of 1 or more', Number.isInteger(value) && value >= 1);
  }
  check('hiddenSize', hiddenSize, `a multiple of heads = ${heads}`, hiddenSize % heads === 0);
  for (const kind of layers) check('layers', kind, layerKinds.join(', '), layerKinds.includes(kind));
  const rotates = layers.some((kind) => kind === 'window' || kind === 'attention');
  check('hiddenSize', hiddenSize, `heads = ${heads} of an even size`, !rotates || (hiddenSize / heads) % 2 === 0);
  check('expansion', expansion, 'an even integer', expansion % 2 === 0);
  return { ...options, vocabularySize, hiddenSize, layers, contextLength };
}

function check(name: string, value: number | string, allowed: string, holds: boolean): void {
  if (!holds) throw new ArgumentError(`BasedModel: ${name}`, value, allowed);
}
