import { ArgumentError } from '@saccade/core';

/** @throws ArgumentError where an overlap matrix is not [L, L] or holds a number outside 0 to 1. */
export function checkOverlap(name: string, overlap: ArrayLike<number>, layers: number): void {
  if (!(Number.isInteger(layers) && layers >= 1)) throw new ArgumentError('layers', layers, 'an integer of 1 or more');
  if (overlap.length !== layers * layers) {
    throw new ArgumentError(name, `${overlap.length} numbers`, `${layers} x ${layers}, row by row`);
  }
  for (let row = 0; row < layers; row++) {
    for (let column = row + 1; column < layers; column++) {
      const value = overlap[row * layers + column] as number;
      if (!(value >= 0 && value <= 1))
        throw new ArgumentError(`${name}[${row}][${column}]`, value, 'a share from 0 to 1');
    }
  }
}

/** @throws ArgumentError for a layer that does not exist. */
export function checkLayers(name: string, chosen: readonly number[], layers: number): void {
  for (const layer of chosen) {
    if (!(Number.isInteger(layer) && layer >= 0 && layer < layers)) {
      throw new ArgumentError(name, layer, `layers from 0 to ${layers - 1}`);
    }
  }
}
