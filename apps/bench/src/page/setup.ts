import { OptionError, optionsFromText, optionsToText } from '@saccade/core';
import type { ListedMethod, Listing } from '../listing.ts';
import type { ModelFamily } from '../model-entry.ts';
import type { MethodChoice } from './protocol.ts';

/** A method with its controls; `given` holds what was typed, an empty text the default. */
export interface MethodSetup {
  readonly name: string;
  readonly given: Readonly<Record<string, string>>;
  readonly budget: number;
}

/** Everything that a link restores. */
export interface Setup {
  /** A name of the listing, `hub:owner/name`, or `files`. */
  readonly model: string;
  /** `own`, or a scenario. */
  readonly task: string;
  readonly prompt: string;
  /** Which of the drawn pictures a model that sees is shown where there is no image of one's own. */
  readonly example: number;
  readonly tokens: number;
  readonly steps: number;
  readonly classLabel: number;
  readonly patch: number;
  readonly seed: number;
  readonly attention: boolean;
  /** Of scenarios: lengths as typed, empty for their own. */
  readonly lengths: string;
  readonly repeats: string;
  readonly methods: readonly MethodSetup[];
}

const continued =
  'Anne had never seen the sea from this side of the bay before. The evening was still, the boats lay close under the wall, and Captain Wentworth, who had been silent since they left the inn, turned to her and said that he';

/** What each kind of model is asked as long as nothing else is written. */
const prompts: Readonly<Record<ModelFamily, string>> = {
  language: continued,
  vision: 'Describe the image.',
  'masked-diffusion': continued,
  diffusion: continued,
};

export const defaultSetup: Setup = {
  model: 'persuasion-bytes',
  task: 'own',
  prompt: prompts.language,
  example: 0,
  tokens: 32,
  steps: 10,
  classLabel: 3,
  patch: 136,
  seed: 0,
  attention: true,
  lengths: '',
  repeats: '',
  methods: [{ name: 'tidaldecode', given: {}, budget: 0.25 }],
};

const preferred: Readonly<Record<ModelFamily, string>> = {
  language: 'tidaldecode',
  vision: 'vhr',
  'masked-diffusion': 'sparsed',
  diffusion: 'sparsed',
};

/** Whether a method makes sense for models of a kind; whether it fits the very model is known when it runs. */
export function fits({ name, phases, needs, procedure, ofScenario }: ListedMethod, family: ModelFamily): boolean {
  if (name === 'dense' || procedure || ofScenario || (needs !== null && needs !== family)) return false;
  const denoises = family === 'diffusion' || family === 'masked-diffusion';
  return denoises ? phases.includes('denoise') : phases.includes('prefill') || phases.includes('decode');
}

/** Kind of the chosen model, as far as it is known before it is loaded. */
export function familyOf(setup: Setup, listing: Listing): ModelFamily {
  return listing.models.find(({ name }) => name === setup.model)?.family ?? 'language';
}

/** Methods that can be chosen for a set-up. */
export function choicesFor(setup: Setup, listing: Listing): readonly ListedMethod[] {
  const scenario = listing.scenarios.find(({ name }) => name === setup.task);
  if (scenario) return listing.methods.filter(({ name }) => name !== 'dense' && scenario.methods.includes(name));
  const family = familyOf(setup, listing);
  return listing.methods.filter((method) => fits(method, family));
}

/** The same set-up without what does not fit together: scenarios of other models, methods and prompts of other kinds. */
export function settled(setup: Setup, listing: Listing): Setup {
  const family = familyOf(setup, listing);
  const scenario = listing.scenarios.find(({ name }) => name === setup.task);
  const task = scenario && (scenario.needs === 'none' || scenario.needs === family) ? scenario.name : 'own';
  const choices = choicesFor({ ...setup, task }, listing);
  const kept = setup.methods.filter(({ name }) => choices.some((choice) => choice.name === name));
  const first = choices.find(({ name }) => name === preferred[family]) ?? choices[0];
  const methods = kept.length > 0 || !first ? kept : [methodSetup(first.name)];
  const prompt = Object.values(prompts).includes(setup.prompt) ? prompts[family] : setup.prompt;
  return { ...setup, task, methods, prompt };
}

export function methodSetup(name: string): MethodSetup {
  return { name, given: {}, budget: 0.25 };
}

/** What was typed of a method's options, in the command line's notation. */
export function optionsText({ given }: MethodSetup): string {
  return Object.entries(given)
    .filter(([, value]) => value !== '')
    .map(([name, value]) => `${name}=${value}`)
    .join(',');
}

/** What is wrong with one option as typed, or undefined. */
export function optionProblem({ options }: ListedMethod, name: string, value: string): string | undefined {
  if (value === '') return undefined;
  try {
    optionsFromText(options, `${name}=${value}`);
    return undefined;
  } catch (error) {
    if (error instanceof OptionError) return error.message;
    throw error;
  }
}

/** What is wrong with the options of a method as typed. */
export function optionProblems(entry: ListedMethod, { given }: MethodSetup): readonly string[] {
  return Object.keys(entry.options).flatMap((name) => optionProblem(entry, name, given[name] ?? '') ?? []);
}

/** Options as typed that a budget would set, and which stand in its place. */
export function inPlaceOfBudget({ budgetOptions }: ListedMethod, { given }: MethodSetup): readonly string[] {
  return budgetOptions.filter((name) => (given[name] ?? '') !== '');
}

/** An option's default as it would be typed. */
export function defaultText({ options }: ListedMethod, name: string): string {
  const value = options[name]?.default;
  return value === undefined ? 'required' : optionsToText({ [name]: value }).slice(name.length + 1);
}

export function methodChoices(setup: Setup): readonly MethodChoice[] {
  return setup.methods.map((method) => ({ name: method.name, options: optionsText(method), budget: method.budget }));
}

/** The part of an address behind `#`; only what differs from the defaults. */
export function setupToHash(setup: Setup): string {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(setup)) {
    if (name === 'methods' || value === defaultSetup[name as keyof Setup]) continue;
    parameters.set(name, String(value));
  }
  for (const method of setup.methods) {
    const options = optionsText(method);
    parameters.append('method', `${method.name}@${method.budget}${options === '' ? '' : `:${options}`}`);
  }
  return parameters.toString();
}

/** The set-up of an address; what it lacks, or says wrongly, is as by default. */
export function setupFromHash(hash: string): Setup {
  const parameters = new URLSearchParams(hash.replace(/^#/, ''));
  const text = (name: keyof Setup) => parameters.get(name) ?? String(defaultSetup[name]);
  const whole = (name: 'example' | 'tokens' | 'steps' | 'classLabel' | 'patch' | 'seed', least: number) => {
    const value = Number(text(name));
    return Number.isSafeInteger(value) && value >= least ? value : defaultSetup[name];
  };
  const methods = parameters.getAll('method').flatMap((entry) => methodFromText(entry) ?? []);
  return {
    model: text('model'),
    task: text('task'),
    prompt: text('prompt'),
    example: whole('example', 0),
    tokens: whole('tokens', 1),
    steps: whole('steps', 1),
    classLabel: whole('classLabel', 0),
    patch: whole('patch', 0),
    seed: whole('seed', 0),
    attention: text('attention') !== 'false',
    lengths: text('lengths'),
    repeats: text('repeats'),
    // With a model and no method, the page chooses one that suits it.
    methods: methods.length > 0 || parameters.has('model') ? methods.slice(0, 2) : defaultSetup.methods,
  };
}

function methodFromText(text: string): MethodSetup | undefined {
  const match = /^([a-z0-9-]+)(?:@([\d.]+))?(?::(.*))?$/.exec(text);
  if (!match) return undefined;
  const [, name = '', budget, options = ''] = match;
  const share = budget === undefined ? methodSetup(name).budget : Number(budget);
  if (!(share > 0 && share <= 1)) return undefined;
  const pairs = options
    .split(',')
    .filter(Boolean)
    .map((pair) => {
      const equals = pair.indexOf('=');
      return equals < 0 ? [pair, 'true'] : [pair.slice(0, equals), pair.slice(equals + 1)];
    });
  return { name, given: Object.fromEntries(pairs) as Record<string, string>, budget: share };
}
