import {
  choice,
  defineOptions,
  type GivenOptions,
  integer,
  number,
  OptionError,
  type OptionsOf,
  parseOptions,
} from '@saccade/core';

/** Every option of ZipVL: default, range, meaning. */
export const zipvlOptions = defineOptions({
  tau: number({
    default: 0.96,
    above: 0,
    max: 1,
    description:
      'Share of the attention that the important tokens of a layer must hold together; 1 keeps attention dense.',
  }),
  recentProbes: integer({ default: 64, min: 0, description: 'Newest queries whose attention is measured.' }),
  randomProbes: integer({ default: 64, min: 0, description: 'Queries before them, drawn at random, likewise.' }),
  bitsImportant: integer({
    default: 4,
    min: 2,
    max: 16,
    description: 'Bits of cached keys and values of important tokens: 2, 4, 8, or 16 for full precision.',
  }),
  bitsOther: integer({ default: 2, min: 2, max: 16, description: 'The same of all other tokens; not more.' }),
  unimportant: choice(['quantize', 'evict'], {
    default: 'quantize',
    description: 'What becomes of the keys and values of other tokens: fewer bits, or nothing.',
  }),
  recompressEvery: integer({
    default: 100,
    min: 1,
    description: 'Generated tokens that are gathered in full precision before they are compressed as well.',
  }),
});

/** What a caller may give; everything has a default. */
export type ZipvlOptions = GivenOptions<typeof zipvlOptions>;

/** All options, defaults filled in. */
export type ResolvedZipvlOptions = OptionsOf<typeof zipvlOptions>;

const widths: readonly number[] = [2, 4, 8, 16];

/** Full, validated options. @throws OptionError, also for what a range cannot say */
export function resolveOptions(options: ZipvlOptions): ResolvedZipvlOptions {
  const resolved = parseOptions(zipvlOptions, options);
  const { bitsImportant, bitsOther, recentProbes, randomProbes } = resolved;
  for (const name of ['bitsImportant', 'bitsOther'] as const)
    if (!widths.includes(resolved[name])) throw new OptionError(name, resolved[name], '2, 4, 8, 16');
  if (bitsOther > bitsImportant) throw new OptionError('bitsOther', bitsOther, `${bitsImportant} or fewer`);
  if (recentProbes + randomProbes === 0) throw new OptionError('recentProbes', 0, 'one probe or more in all');
  return resolved;
}
