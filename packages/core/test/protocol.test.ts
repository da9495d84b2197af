import { describe, expect, it } from 'vitest';
import type { Gpu, Method, ModelFacts, ModelHandle, Tensor } from '../src/index.ts';
import {
  ArgumentError,
  defineOptions,
  IndexStore,
  layers,
  MethodRun,
  NoSelectionError,
  OptionError,
  optionsFromText,
  optionsToText,
  parseOptions,
  RefusedError,
  resolveLayers,
} from '../src/index.ts';
import { assertPlainScores, change } from '../src/protocol/attention-change.ts';
import { checkOwners } from '../src/protocol/owners.ts';
import { checkRequirements, type Requirements } from '../src/protocol/requirements.ts';

const facts: ModelFacts = {
  name: 'small',
  architecture: 'llama',
  layers: 3,
  layerKinds: ['global', 'window', 'global'],
  heads: 4,
  kvHeads: 2,
  headSize: 8,
  hiddenSize: 32,
  vocabularySize: 64,
  contextLength: 128,
  causal: true,
};

describe('a method', () => {
  it.each([[{}], [{ topK: 64 }], [{ name: 'nameless phases' }], ['tidaldecode'], [null]])('is not %j', (value) => {
    expect(() => checkOwners([value as unknown as Method])).toThrow(ArgumentError);
    expect(() => checkOwners([value as unknown as Method])).toThrow(/as the function of its package makes it/);
  });
});

describe('requires', () => {
  const refusal = (requires: Requirements, model: Partial<ModelFacts> = {}): string => {
    try {
      checkRequirements({ name: 'picky', requires }, { ...facts, ...model });
      return 'accepted';
    } catch (error) {
      expect(RefusedError.isInstance(error)).toBe(true);
      return (error as Error).message;
    }
  };

  it.each<[Requirements, Partial<ModelFacts>, string]>([
    [{ phases: ['decode'] }, { causal: false }, 'needs the phases decode; it has encode'],
    [{ phases: ['denoise', 'prefill'] }, {}, 'needs the phases denoise; it has prefill, decode'],
    [{ direction: 'bidirectional' }, {}, 'needs a bidirectional model; it is causal'],
    [{ globalLayers: 3 }, {}, 'needs 3 global layers; it has 2'],
    [{ denoisingSteps: 4 }, {}, 'needs 4 denoising steps; it has 0'],
    [{ features: ['imageSpans'] }, {}, 'needs the feature imageSpans, which it lacks'],
    [{ check: ({ heads }) => `wants wheels, not ${heads} heads` }, {}, 'wants wheels, not 4 heads'],
  ])('%j is refused, saying what is missing', (requires, model, reason) => {
    expect(refusal(requires, model)).toBe(`picky cannot run on small: ${reason}.`);
  });

  it('names everything that is missing, and accepts a model that has it all', () => {
    const requires: Requirements = {
      phases: ['denoise'],
      direction: 'bidirectional',
      globalLayers: 2,
      denoisingSteps: 4,
      features: ['imageSpans'],
    };
    expect(refusal(requires).split('; ').length).toBe(7);
    const capable = { causal: false, phases: ['denoise'] as const, denoisingSteps: 20, features: ['imageSpans'] };
    expect(refusal(requires, capable)).toBe('accepted');
  });
});

describe('schedule', () => {
  const pipeline = {
    gpu: {},
    facts: { ...facts, causal: false, phases: ['denoise'], denoisingSteps: 20 },
  } as unknown as ModelHandle;
  const plain = { stages: [{ steps: 20, height: 512, width: 512, guidanceScale: 4 }] };

  it('changes stages of a denoising run; without a method they stay', () => {
    const halves: Method = {
      name: 'halves',
      options: {},
      phases: ['denoise'],
      requires: { denoisingSteps: 8, phases: ['denoise'] },
      schedule: ({ stages }, { denoisingSteps }) => ({
        stages: stages.flatMap((stage) => [
          { ...stage, steps: 4, height: stage.height / 2, width: stage.width / 2 },
          { ...stage, steps: (denoisingSteps ?? 0) / 5, strength: 0.6 },
        ]),
      }),
    };
    expect(MethodRun.startNow(pipeline).schedule(plain)).toEqual(plain);
    expect(MethodRun.startNow(pipeline, halves).schedule(plain).stages).toEqual([
      { steps: 4, height: 256, width: 256, guidanceScale: 4 },
      { steps: 4, height: 512, width: 512, guidanceScale: 4, strength: 0.6 },
    ]);
  });
});

describe('exclusive seams', () => {
  const method = (name: string, parts: Partial<Method>): Method => ({
    name,
    options: {},
    phases: ['decode'],
    ...parts,
  });

  it.each<Partial<Method>>([
    { createCache: () => undefined },
    { mask: () => undefined },
    { selectTokens: () => undefined },
    { selectHeads: () => undefined },
    { schedule: (schedule) => schedule },
  ])('two owners of $name are refused, both named', (parts) => {
    const [seam] = Object.keys(parts);
    const check = () => checkOwners([method('a', parts), method('b', {}), method('c', parts)]);
    expect(check).toThrow(RefusedError);
    expect(check).toThrow(`a and c cannot run together: both own ${seam}, which takes one method.`);
  });

  it('one owner each, or middleware seams, compose', () => {
    checkOwners([
      method('a', { mask: () => undefined, attend: (_, __, next) => next() }),
      method('b', { selectHeads: () => undefined, attend: (_, __, next) => next(), layer: (_, x, next) => next(x) }),
    ]);
  });
});

describe('changes of an attention call', () => {
  it('narrows a window and never widens it', () => {
    expect(change({ slidingWindow: 8 }, { slidingWindow: 3 }, 'a').slidingWindow).toBe(3);
    expect(change({ slidingWindow: 3 }, { slidingWindow: 8 }, 'a').slidingWindow).toBe(3);
    expect(change({ causal: true }, { slidingWindow: 8 }, 'a')).toEqual({ causal: true, slidingWindow: 8 });
  });

  it('puts score modifiers behind those in force, and takes multipliers and normalizers once', () => {
    const [cap, bias] = [{ kind: 'softCap', cap: 9 } as const, { kind: 'softCap', cap: 3 } as const];
    expect(change({ scoreModifiers: [cap] }, { scoreModifiers: [bias] }, 'a').scoreModifiers).toEqual([cap, bias]);
    const keyMultipliers = { factors: 'ones' as unknown as Tensor, renormalise: true };
    expect(change({}, { keyMultipliers }, 'a')).toEqual({ keyMultipliers });
    expect(() => change({ keyMultipliers }, { keyMultipliers }, 'late')).toThrow(/^late sets keyMultipliers/);
    expect(() => assertPlainScores({ scoreModifiers: [cap] }, 'a')).toThrow(/^a asks for statistics/);
    assertPlainScores({}, 'a');
  });

  it('adds a mask to the one in force, and refuses a second list', () => {
    const own = { kind: 'causal' } as const;
    const further = { kind: 'prefix', length: 4 } as const;
    expect(change({}, { mask: further }, 'a').mask).toEqual(further);
    expect(change({ mask: own }, { mask: further }, 'a').mask).toEqual({ kind: 'allOf', parts: [own, further] });
    const tokens = { indices: 'ids' as unknown as Tensor, per: 'kvHead' } as const;
    const blocks = { ...tokens, queryBlock: 8, keyBlock: 8 };
    for (const options of [{ tokens }, { blocks }])
      expect(() => change(options, { blocks }, 'late')).toThrow(/^late restricts.*in force already/);
  });
});

describe('index store', () => {
  // The store never looks into a list; tensors inside would be kept and freed.
  const list = (name: string) => ({ indices: name as unknown as Tensor, per: 'kvHead' as const });
  const store = () => new IndexStore({} as Gpu, facts.layerKinds);

  it('hands on from the nearest global layer to later global layers only', () => {
    const lists = store();
    lists.set(0, list('of 0'));
    expect(lists.get(2).indices).toBe('of 0');
    expect(() => lists.get(1)).toThrow(NoSelectionError);
    lists.set(1, list('of 1'));
    expect(lists.get(1).indices).toBe('of 1');
    expect(lists.get(2).indices).toBe('of 0');
    lists.set(2, list('of 2'));
    expect([lists.get(2).indices, lists.get(0).indices, lists.layer]).toEqual(['of 2', 'of 0', 2]);
    expect([lists.has(2, 0), lists.has(2, 1)]).toEqual([true, false]);
    expect(lists.get(2, 0).indices).toBe('of 0');
    expect(() => lists.get(2, 1)).toThrow(/Layer 2.*layer 1 stored none/);
  });

  it('tells lists of tokens from lists of blocks', () => {
    const lists = store();
    lists.set(0, { ...list('blocks of 0'), queryBlock: 16, keyBlock: 32 });
    expect(lists.blocks(2).indices).toBe('blocks of 0');
    expect(() => lists.get(2)).toThrow(NoSelectionError);
    lists.set(2, { ...list('per query block'), queryBlock: 16 });
    expect(lists.get(2).queryBlock).toBe(16);
    expect(() => lists.blocks(2)).toThrow(NoSelectionError);
  });

  it('forgets a pass, and keeps what lasts until the run ends', () => {
    const lists = store();
    lists.set(0, list('lasting'), { lasting: true });
    lists.set(2, list('of this pass'));
    lists.clear();
    expect([lists.get(2).indices, lists.layer]).toEqual(['lasting', -1]);
    lists.clear(true);
    expect(lists.has(2)).toBe(false);
  });
});

describe('layers of a model', () => {
  it.each([
    [{ from: 0, to: 1 }, 4, [0, 1, 2, 3]],
    [{ from: 0.35, to: 0.7 }, 32, [11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21]],
    [{ from: 0.35, to: 0.7 }, 4, [1, 2]],
    [{ from: 0.98, to: 1 }, 4, [3]],
    [{ from: 0.1, to: 0.2 }, 2, [0]],
    [[3, { fraction: 0.25 }, 1], 4, [1, 3]],
    [[], 4, []],
  ])('%j of %i layers are %j', (choice, count, expected) => {
    expect(resolveLayers(choice, count)).toEqual(expected);
  });

  it('an index that the model lacks is refused', () => {
    expect(() => resolveLayers([0, 4], 4, 'edited')).toThrow(OptionError);
    expect(() => resolveLayers([0, 4], 4, 'edited')).toThrow(/option edited: got 4/);
  });

  it('are an option that is checked, read from text and written', () => {
    const schema = defineOptions({
      where: layers({ default: { from: 0.25, to: 0.75 }, description: 'Layers that it acts on.' }),
    });
    expect(parseOptions(schema, {}).where).toEqual({ from: 0.25, to: 0.75 });
    for (const [text, value] of [
      ['where=25%-50%', { from: 0.25, to: 0.5 }],
      ['where=1|40%', [1, { fraction: 0.4 }]],
      ['where=', []],
    ] as const) {
      const given = optionsFromText(schema, text);
      expect(given).toEqual({ where: value });
      expect(optionsToText(given)).toBe(text);
    }
    for (const where of [{ from: 0.5, to: 0.5 }, { from: -1, to: 1 }, { from: 0, to: 22 }, [-1], 3])
      expect(() => parseOptions(schema, { where } as never)).toThrow(OptionError);
  });
});
