import fc from 'fast-check';
import { describe, expect, expectTypeOf, it } from 'vitest';
import { type LayerChoice, resolveLayer } from '../src/protocol/layer-choice.ts';
import { editDistance, nearNames } from '../src/protocol/near-names.ts';
import { OptionError } from '../src/protocol/option-error.ts';
import {
  boolean,
  choice,
  defineOptions,
  type GivenOptions,
  integer,
  layer,
  list,
  number,
  type OptionsOf,
  optionsFromText,
  optionsTable,
  optionsToText,
  parseOptions,
} from '../src/protocol/option-schema.ts';

const schema = defineOptions({
  topK: integer({ default: 256, min: 1, max: 4096, description: 'Tokens read per head.' }),
  threshold: number({ default: 0.5, min: 0, max: 1, description: 'Mass to keep.' }),
  reselectionLayers: list(layer(), { default: [{ fraction: 0.4 }], description: 'Layers that select anew.' }),
  start: layer({ default: 2, description: 'First selecting layer.' }),
  forceCurrent: boolean({ default: true, description: 'Keep the newest token.' }),
  per: choice(['queryHead', 'kvHead'], { default: 'queryHead', description: 'Whose lists.' }),
  interval: integer({ default: null, min: 1, description: 'Steps between corrections.' }),
});

const withRequired = defineOptions({ window: integer({ min: 1, description: 'Recent tokens kept.' }) });

/** The error that `run` throws, which must be an OptionError. */
function optionError(run: () => unknown): OptionError {
  try {
    run();
  } catch (error) {
    expect(error).toBeInstanceOf(OptionError);
    return error as OptionError;
  }
  throw new Error('nothing was thrown');
}

describe('types', () => {
  it('follow from the schema', () => {
    type Options = OptionsOf<typeof schema>;
    expectTypeOf<Options['topK']>().toEqualTypeOf<number>();
    expectTypeOf<Options['reselectionLayers']>().toEqualTypeOf<readonly LayerChoice[]>();
    expectTypeOf<Options['per']>().toEqualTypeOf<'queryHead' | 'kvHead'>();
    expectTypeOf<Options['interval']>().toEqualTypeOf<number | null>();
    expectTypeOf<Record<never, never>>().toExtend<GivenOptions<typeof schema>>();
    expectTypeOf<Record<never, never>>().not.toExtend<GivenOptions<typeof withRequired>>();
  });
});

describe('an exclusive lower bound', () => {
  const open = defineOptions({
    share: number({ default: 1, above: 0, max: 1, description: 'Share that is kept.' }),
    scale: number({ default: 1, above: 0, description: 'Factor.' }),
  });

  it('leaves the bound itself out', () => {
    expect(parseOptions(open, { share: 1e-9, scale: 1e9 })).toEqual({ share: 1e-9, scale: 1e9 });
    for (const given of [{ share: 0 }, { share: -1 }, { share: 1.1 }, { scale: 0 }, { scale: -2 }])
      optionError(() => parseOptions(open, given));
    optionError(() => optionsFromText(open, 'share=0'));
  });

  it('is told in errors and tables', () => {
    expect(optionError(() => parseOptions(open, { share: 0 })).message).toContain('a number above 0 and up to 1');
    expect(optionsTable(open)).toContain('a number > 0');
  });
});

describe('parseOptions', () => {
  it('fills in defaults and keeps what is given', () => {
    expect(parseOptions(schema, { topK: 8, interval: 3, per: undefined })).toEqual({
      topK: 8,
      threshold: 0.5,
      reselectionLayers: [{ fraction: 0.4 }],
      start: 2,
      forceCurrent: true,
      per: 'queryHead',
      interval: 3,
    });
  });

  it.each<[string, unknown, RegExp]>([
    ['topK', 0, /an integer from 1 to 4096/],
    ['topK', 1.5, /an integer/],
    ['topK', '8', /got "8"/],
    ['topK', null, /got null/],
    ['threshold', Number.NaN, /a number from 0 to 1/],
    ['reselectionLayers', [3, -1], /layer index/],
    ['reselectionLayers', 13, /a list/],
    ['start', { fraction: 1 }, /between 0 and 1/],
    ['start', { fraction: 0.5, extra: 1 }, /fraction/],
    ['forceCurrent', 1, /true or false/],
    ['per', 'head', /one of queryHead, kvHead/],
    ['interval', 0, />= 1, or null \(off\)/],
  ])('refuses %s = %j and says what is allowed', (option, given, message) => {
    const error = optionError(() => parseOptions(schema, { [option]: given } as GivenOptions<typeof schema>));
    expect(error.message).toMatch(message);
    expect(error.message).toContain(option);
    expect([error.option, error.given, error.code]).toEqual([option, given, 'option']);
  });

  it('lists near names for an unknown option', () => {
    const error = optionError(() => parseOptions(schema, { topk: 3 } as GivenOptions<typeof schema>));
    expect(error.message).toContain('Did you mean topK?');
  });

  it('knows no inherited names', () => {
    expect(optionError(() => optionsFromText(schema, 'constructor=1')).message).toContain('no option "constructor"');
  });

  it('wants what has no default', () => {
    const error = optionError(() => parseOptions(withRequired, {} as GivenOptions<typeof withRequired>));
    expect(error.message).toMatch(/window is required.*an integer >= 1/);
  });
});

describe('optionsFromText', () => {
  it('reads every kind', () => {
    const text =
      'topK=128, reselectionLayers=13|40%,forceCurrent=false,per=kvHead,interval=off,threshold=.25,start=10%';
    expect(optionsFromText(schema, text)).toEqual({
      topK: 128,
      reselectionLayers: [13, { fraction: 0.4 }],
      forceCurrent: false,
      per: 'kvHead',
      interval: null,
      threshold: 0.25,
      start: { fraction: 0.1 },
    });
  });

  it('returns only what the text names', () => {
    expect(optionsFromText(schema, '')).toEqual({});
    expect(optionsFromText(schema, 'forceCurrent')).toEqual({ forceCurrent: true });
    expect(optionsFromText(schema, 'reselectionLayers=')).toEqual({ reselectionLayers: [] });
  });

  it.each([
    'topK',
    'topK=',
    'topK=0x10',
    'topK=Infinity',
    'topK=off',
    'topK=1,topK=2',
    'start=100%',
    'forceCurrent=yes',
    'nothing=1',
  ])('refuses %s', (text) => {
    optionError(() => optionsFromText(schema, text));
  });

  it('reads what optionsToText writes', () => {
    const layers = fc.oneof(
      fc.nat(60),
      fc.integer({ min: 1, max: 99 }).map((percent) => ({ fraction: percent / 100 })),
    );
    const options = fc.record({
      topK: fc.integer({ min: 1, max: 4096 }),
      threshold: fc.double({ min: 0, max: 1, noNaN: true }).map((value) => value + 0),
      reselectionLayers: fc.array(layers),
      start: layers,
      forceCurrent: fc.boolean(),
      per: fc.constantFrom('queryHead' as const, 'kvHead' as const),
      interval: fc.option(fc.integer({ min: 1, max: 1000 }), { nil: null }),
    });
    fc.assert(
      fc.property(options, (given) => {
        expect(optionsFromText(schema, optionsToText(given))).toEqual(given);
      }),
    );
  });
});

describe('defineOptions', () => {
  it('refuses a default outside its own range, a missing description and an odd name', () => {
    optionError(() => defineOptions({ size: integer({ default: 0, min: 1, description: 'Size.' }) }));
    optionError(() => defineOptions({ size: integer({ default: 1 }) }));
    optionError(() => defineOptions({ 'top-k': integer({ default: 1, description: 'Size.' }) }));
  });

  it('gives plain data', () => {
    expect(JSON.parse(JSON.stringify(schema))).toEqual(schema);
    expect(Object.isFrozen(schema)).toBe(true);
  });
});

it('optionsTable has one row per option', () => {
  const lines = optionsTable(schema).split('\n');
  expect(lines).toHaveLength(2 + Object.keys(schema).length);
  expect(lines[2]).toBe('| `topK` | an integer from 1 to 4096 | `256` | Tokens read per head. |');
  expect(lines[8]).toContain('`off`');
  expect(optionsTable(withRequired)).toContain('| required |');
});

describe('resolveLayer', () => {
  it('takes indices as they are and rounds fractions', () => {
    expect(resolveLayer(13, 32)).toBe(13);
    expect(resolveLayer({ fraction: 0.4 }, 30)).toBe(12);
    expect(resolveLayer({ fraction: 0.999 }, 4)).toBe(3);
    expect(resolveLayer({ fraction: 0.001 }, 4)).toBe(0);
  });

  it('refuses layers that the model lacks', () => {
    expect(optionError(() => resolveLayer(22, 12, 'start')).message).toMatch(/start: got 22.*0 to 11/);
  });
});

describe('nearNames', () => {
  it('counts edits', () => {
    expect([editDistance('kitten', 'sitting'), editDistance('', 'abc'), editDistance('same', 'same')]).toEqual([
      3, 3, 0,
    ]);
  });

  it('is a metric', () => {
    const word = fc.string({ maxLength: 8 });
    fc.assert(
      fc.property(word, word, word, (a, b, c) => {
        expect(editDistance(a, b)).toBe(editDistance(b, a));
        expect(editDistance(a, c)).toBeLessThanOrEqual(editDistance(a, b) + editDistance(b, c));
        expect(editDistance(a, b) === 0).toBe(a === b);
      }),
    );
  });

  it('finds misspelt and partial names, nearest first, and nothing for strangers', () => {
    const names = ['language/perplexity', 'language/needle', 'language/decode', 'attention/decode'];
    expect(nearNames('language/needel', names)[0]).toBe('language/needle');
    expect(nearNames('needle', names)).toEqual(['language/needle']);
    expect(nearNames('decode', names)).toEqual(['language/decode', 'attention/decode']);
    expect(nearNames('zzzzzz', names)).toEqual([]);
  });
});
