import { expect, it } from 'vitest';
import { defaultSetup, type Setup, setupFromHash, setupToHash } from '../src/page/setup.ts';

it('a link restores every part of a set-up', () => {
  const setup: Setup = {
    ...defaultSetup,
    model: 'shapes-dit',
    prompt: 'a & b = c',
    steps: 4,
    attention: false,
    methods: [
      { name: 're-ttention', given: { ramp: '0' }, budget: 0.3 },
      { name: 'sparsed', given: {}, budget: 0.25 },
    ],
  };
  expect(setupFromHash(`#${setupToHash(setup)}`)).toEqual(setup);
  expect(setupFromHash('')).toEqual(defaultSetup);
});

it('what a link says wrongly or leaves out is as by default', () => {
  expect(setupFromHash('#method=var').methods).toEqual([{ name: 'var', given: {}, budget: 0.25 }]);
  expect(setupFromHash('#method=tidaldecode:topK=8').methods).toEqual([
    { name: 'tidaldecode', given: { topK: '8' }, budget: 0.25 },
  ]);
  expect(setupFromHash('#method=tidaldecode@7&tokens=-3')).toEqual(defaultSetup);
  // The page finds a method for the model.
  expect(setupFromHash('#model=scenes').methods).toEqual([]);
});
