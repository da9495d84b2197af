import { ArgumentError, ShapeError } from '../../errors.ts';
import { sameShape } from '../../tensor/shape.ts';
import { matchesName, type NamePattern } from '../module.ts';
import type { Gradients } from '../module-gradients.ts';
import type { Parameter } from '../parameter.ts';

/** Settings that may differ between parameters. */
export interface GroupSettings {
  /** Step size. A schedule multiplies it. */
  readonly learningRate: number;
  readonly weightDecay: number;
}

/** Settings of the parameters whose names match; the first group that matches counts. */
export interface ParameterGroup extends Partial<GroupSettings> {
  readonly match: NamePattern;
}

/** The settings of one parameter. @throws ArgumentError for negative or non-finite ones */
export function settingsOf(
  optimizer: string,
  name: string,
  groups: readonly ParameterGroup[],
  base: GroupSettings,
): GroupSettings {
  const group = groups.find(({ match }) => matchesName(match, name));
  const { learningRate, weightDecay } = { ...base, ...group };
  for (const [setting, value] of Object.entries({ learningRate, weightDecay })) {
    checkRange(`${optimizer}: ${setting}`, value, 'a finite number of 0 or more', value >= 0);
  }
  return { learningRate, weightDecay };
}

/** @throws ArgumentError unless the value is finite and `holds` */
export function checkRange(argument: string, value: number, allowed: string, holds: boolean): void {
  if (!(Number.isFinite(value) && holds)) throw new ArgumentError(argument, value, allowed);
}

/** The parameters that have a gradient, with their names. @throws ArgumentError, ShapeError for gradients that do not fit */
export function withGradients(
  optimizer: string,
  parameters: ReadonlyMap<string, Parameter>,
  gradients: Gradients,
): { name: string; parameter: Parameter; gradient: Gradients[string] }[] {
  return Object.entries(gradients).map(([name, gradient]) => {
    const parameter = parameters.get(name);
    if (!parameter) throw new ArgumentError(`${optimizer}: gradients`, name, [...parameters.keys()].join(', '));
    if (gradient.dtype !== 'f32' || !sameShape(gradient.shape, parameter.tensor.shape)) {
      const given = `the gradient of ${name} is ${gradient.dtype}[${gradient.shape}]`;
      throw new ShapeError(optimizer, `${given}, the parameter f32[${parameter.tensor.shape}].`);
    }
    return { name, parameter, gradient };
  });
}
