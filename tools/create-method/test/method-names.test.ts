import { expect, it } from 'vitest';
import { methodNames } from '../src/method-names.ts';

it('spells a name as the package needs it', () => {
  expect(methodNames('key-sketch')).toEqual({
    slug: 'key-sketch',
    camel: 'keySketch',
    pascal: 'KeySketch',
    title: 'Key sketch',
  });
});

it.each(['var', 'new', 'with', 'await'])('no function is called %s', (slug) => {
  expect(methodNames(slug).camel).toBe(`${slug}Method`);
});
