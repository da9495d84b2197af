import { choice, defineOptions, integer, RefusedError } from '@saccade/core';
import type { MethodEntry } from '../src/method-entry.ts';
import type { ModelEntry } from '../src/model-entry.ts';
import { Registry } from '../src/registry.ts';
import type { Scenario } from '../src/scenario.ts';

const pickerOptions = defineOptions({
  topK: integer({ default: 256, min: 1, description: 'Tokens read.' }),
  per: choice(['queryHead', 'kvHead'], { default: 'queryHead', description: 'Whose lists.' }),
});

/** A method with a budget, for tests of the harness: it is never run on a model. */
export const picker: MethodEntry<typeof pickerOptions> = {
  name: 'picker',
  title: 'Picker',
  description: 'Picks tokens.',
  role: 'method',
  phases: ['decode'],
  options: pickerOptions,
  create: (options) => ({ name: 'picker', options, phases: ['decode'] }),
  atBudget: (budget, contextLength) => ({ topK: Math.max(1, Math.round(budget * contextLength)) }),
};

/** A method that changes prefill only and has no budget. */
export const squeezer: MethodEntry = {
  name: 'squeezer',
  title: 'Squeezer',
  description: 'Squeezes the prompt.',
  role: 'method',
  phases: ['prefill'],
  options: {},
  create: (options) => ({ name: 'squeezer', options, phases: ['prefill'] }),
};

/** A method that only the engine scenario has. */
export const lister: MethodEntry = { ...squeezer, name: 'lister', title: 'Lister', phases: ['decode'] };

/** A method that needs images. */
export const seer: MethodEntry = { ...squeezer, name: 'seer', title: 'Seer', phases: ['decode'], needs: 'vision' };

const settings = {
  lengths: { full: [128, 512], quick: [128] },
  budgets: { full: [0.1, 0.5], quick: [0.5] },
  repeats: { full: 5, quick: 2 },
} as const;

/** A scenario whose measurements are made by `measure`, keyed by method. */
export function scenario(
  name: string,
  needs: Scenario['needs'],
  measurements: Readonly<Record<string, () => number>> = {},
  ownMethods: readonly MethodEntry[] = [],
): Scenario {
  return {
    ...settings,
    name,
    title: `Title of ${name}`,
    description: `What ${name} does.`,
    needs,
    phases: ['decode'],
    ownMethods,
    async *run(context) {
      for (const contextLength of context.lengths) {
        for (const variant of context.variants(contextLength)) {
          yield await context.measure(variant, { contextLength }, async () => ({
            quality: { accuracy: measurements[variant.entry.name]?.() ?? 1 },
            speed: {},
            memory: {},
            density: variant.budget,
            samples: context.repeats,
          }));
        }
      }
    },
  };
}

/** A model that sees and cannot be had. */
export const absentEye: ModelEntry = {
  name: 'absent-eye',
  title: 'Absent eye',
  description: 'A model that sees and cannot be loaded.',
  family: 'vision',
  load: () => Promise.reject(new RefusedError('The eye is absent.')),
};

/** A model that cannot be had. */
export const absentModel: ModelEntry = {
  name: 'absent-model',
  title: 'Absent model',
  description: 'A model that cannot be loaded.',
  family: 'language',
  load: async () => {
    throw new RefusedError('there is no such file');
  },
};

/** A registry of the above. */
export function testRegistry(scenarios: readonly Scenario[]): Registry {
  return new Registry({ scenarios, methods: [picker, squeezer, seer], models: [absentModel, absentEye] });
}
