import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { unexportedTypes } from '../src/api/unexported-types.ts';
// @ts-expect-error: plain JavaScript, without declarations
import { publishedModules } from '../typedoc.config.mjs';

it('types in public signatures can be imported', () => {
  const root = fileURLToPath(new URL('../../../', import.meta.url));
  const tsconfig = fileURLToPath(new URL('../tsconfig.api.json', import.meta.url));
  const found = unexportedTypes(publishedModules(), tsconfig, root);
  expect(found.map(({ name, file, mentionedBy }) => `${name} (${file}), mentioned by ${mentionedBy[0]}`)).toEqual([]);
}, 180_000);
