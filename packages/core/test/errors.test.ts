import { expect, it } from 'vitest';
import * as core from '../src/index.ts';

const { ArgumentError, CapacityError, SaccadeError, ShapeError } = core;

it('isInstance tells classes apart and knows subclasses, also those of applications', () => {
  class TooLongError extends CapacityError {}
  const error = new TooLongError(4, 5);
  expect(SaccadeError.isInstance(error)).toBe(true);
  expect(CapacityError.isInstance(error)).toBe(true);
  expect(TooLongError.isInstance(error)).toBe(true);
  expect(TooLongError.isInstance(new CapacityError(4, 5))).toBe(false);
  expect(ArgumentError.isInstance(error)).toBe(false);
  expect([error.name, error.code, error.capacity]).toEqual(['TooLongError', 'capacity', 4]);
  for (const other of [
    undefined,
    null,
    'capacity',
    new Error('capacity'),
    { code: 'capacity', name: 'CapacityError' },
  ]) {
    expect(SaccadeError.isInstance(other)).toBe(false);
  }
});

it('isInstance holds across two copies of the package, whatever a minifier calls their classes', async () => {
  const copy = (await import(/* @vite-ignore */ `../src/errors.ts?${'copy'}`)) as typeof core;
  expect(copy.ArgumentError).not.toBe(ArgumentError);
  // What a minifier does: in either copy, another class may get the same short name.
  Object.defineProperty(copy.ArgumentError, 'name', { value: 'a' });
  Object.defineProperty(copy.ShapeError, 'name', { value: 'ArgumentError' });
  const error = new copy.ArgumentError('k', 0, '1 or more');
  expect(error instanceof ArgumentError).toBe(false);
  expect(ArgumentError.isInstance(error)).toBe(true);
  expect(SaccadeError.isInstance(error)).toBe(true);
  expect(ShapeError.isInstance(error)).toBe(false);
  expect(error.name).toBe('ArgumentError');
  const shape = new copy.ShapeError('add', 'they differ.');
  expect(ArgumentError.isInstance(shape)).toBe(false);
  expect(ShapeError.isInstance(shape)).toBe(true);
});
