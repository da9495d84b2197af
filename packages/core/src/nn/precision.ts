import { ArgumentError } from '../errors.ts';
import { type Module, matchesName, type NamePattern } from './module.ts';
import { Linear } from './modules/linear.ts';

/**
 * Mixed precision (Micikevicius et al., 2018): the linear layers of a module, or those that a pattern means by their paths, multiply in f16 and add in
 * f32; parameters, their gradients and all else stay f32. Train with loss scaling. Adapters without f16 arithmetic unpack the
 * halves and compute in f32, with the same rounding of what is read.
 *
 * @throws ArgumentError for a pattern that means no linear layer, or another precision
 */
export function setPrecision(module: Module, precision: 'f32' | 'f16', pattern?: NamePattern): void {
  if (precision !== 'f32' && precision !== 'f16')
    throw new ArgumentError('setPrecision: precision', precision, "'f32', 'f16'");
  const layers = [...module.modules()].flatMap(([name, own]) => (own instanceof Linear ? [{ name, layer: own }] : []));
  const meant = pattern === undefined ? layers : layers.filter(({ name }) => matchesName(pattern, name));
  if (meant.length === 0)
    throw new ArgumentError('setPrecision: pattern', String(pattern), layers.map(({ name }) => name).join(', '));
  for (const { layer } of meant) layer.precision = precision;
}
