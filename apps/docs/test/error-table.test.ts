import { readFileSync } from 'node:fs';
import { SaccadeError } from '@saccade/core';
import { describe, expect, it } from 'vitest';
import { errorPage, errorTable, withErrorTable } from '../src/errors/error-table.ts';
import { publicErrors } from '../src/errors/public-errors.ts';
import { readErrors } from '../src/errors/read-errors.ts';

describe('the table of errors', () => {
  it('in docs/architecture/errors.md is the one that the code gives (npx pnpm run docs:errors writes it)', () => {
    const page = readFileSync(errorPage, 'utf8');
    expect(page).toBe(withErrorTable(page, errorTable(publicErrors())));
  });

  it('has codes and a description for every error', () => {
    const errors = publicErrors();
    expect(errors.length).toBeGreaterThan(15);
    for (const { name, codes, description, meanings } of errors) {
      expect([name, codes.length > 0, description.length > 20]).toEqual([name, true, true]);
      // Whoever explains codes explains them all.
      if (meanings.length > 0) expect(meanings.flatMap((item) => item.codes).sort()).toEqual([...codes].sort());
    }
  });

  it('lists classes that their packages export, each under a name that minifiers keep', async () => {
    const modules: Record<string, Record<string, unknown>> = {
      '@saccade/core': await import('@saccade/core'),
      '@saccade/models': await import('@saccade/models'),
      '@saccade/gpu-runner': await import('@saccade/gpu-runner'),
    };
    for (const { name, packageName } of publicErrors()) {
      const exported = modules[packageName]?.[name];
      expect([name, typeof exported]).toEqual([name, 'function']);
      expect([
        name,
        Object.hasOwn(exported as object, 'typeName') && (exported as typeof SaccadeError).typeName,
      ]).toEqual([name, name]);
    }
  });

  it('is complete: the base class of the core knows the errors of the runner', async () => {
    const { AdapterUnavailableError, DriverSetupError, GpuRunnerError } = await import('@saccade/gpu-runner');
    const error = new DriverSetupError('apt failed');
    expect([DriverSetupError, GpuRunnerError, SaccadeError].map((type) => type.isInstance(error))).toEqual([
      true,
      true,
      true,
    ]);
    expect(AdapterUnavailableError.isInstance(error)).toBe(false);
    expect([error.name, error.code]).toEqual(['DriverSetupError', 'driver-setup']);
  });
});

describe('reading error classes', () => {
  it('finds codes in super, in a union and behind an alias, and leaves out what is not exported', () => {
    const source = `
      /**
       * Why:
       * - \`a\`: first
       *   of two
       * - \`b\`, \`e\`: second
       */
      type Codes = 'a' | 'b' | 'e';
      /** One. | Two
       * lines. */
      export class FirstError extends SaccadeError { constructor() { super('first', ''); } }
      export class SecondError extends FirstError { constructor(code: Codes) { super(code); } }
      export class ThirdError extends SaccadeError { constructor(code: 'c' | 'd') { super(code); } }
      class HiddenError extends SaccadeError {}
      export class Plain extends Map {}`;
    const errors = readErrors(source);
    expect(errors.map(({ name, parent, codes }) => [name, parent, ...codes])).toEqual([
      ['FirstError', 'SaccadeError', 'first'],
      ['SecondError', 'FirstError', 'a', 'b', 'e'],
      ['ThirdError', 'SaccadeError', 'c', 'd'],
    ]);
    expect(errors.map(({ meanings }) => meanings)).toEqual([
      [],
      [
        { codes: ['a'], meaning: 'first of two' },
        { codes: ['b', 'e'], meaning: 'second' },
      ],
      [],
    ]);
    expect(errors[0]?.description).toBe('One. | Two lines.');
    const [row] = errorTable([{ ...(errors[0] as (typeof errors)[0]), packageName: '@saccade/core' }])
      .split('\n')
      .slice(2);
    expect(row?.replaceAll(/ +/g, ' ')).toBe('| `FirstError` | core | `first` | One. \\| Two lines. |');
  });
});
