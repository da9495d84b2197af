import { readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import {
  checkRequirements,
  type Method,
  type OptionSchema,
  type Phase,
  parseOptions,
  RefusedError,
} from '@saccade/core';
import { filesEnding, workspace } from '../workspace.ts';
import { type ModelKind, modelKinds } from './model-kinds.ts';
import { methodFolders } from './site-pages.ts';

/** What a package's entry of the bench declares. */
interface Entry {
  readonly name: string;
  readonly title: string;
  readonly description: string;
  readonly paper?: string;
  readonly role: string;
  readonly phases: readonly Phase[];
  readonly needs?: 'vision';
  readonly options: OptionSchema;
  create(options: unknown): Method | undefined;
  answer?: unknown;
}

/** A method as its package declares it. */
export interface MethodFacts {
  readonly slug: string;
  readonly title: string;
  readonly description: string;
  readonly paper: string | undefined;
  /** A value that a run is given, a procedure around a model, or functions and layers to compute or train with. */
  readonly form: 'method' | 'procedure' | 'functions';
  /** Phases that it acts in, by the title of the kind of model; empty where it does not run. */
  readonly phases: ReadonlyMap<string, readonly Phase[]>;
  /** Why it does not run with a kind, by title. */
  readonly refusals: ReadonlyMap<string, string>;
  /** Optional features of adapters that its own code asks about. */
  readonly adapterFeatures: readonly string[];
  /** Whether gradients pass through it: it brings a backward pass, or is made of differentiable operations. */
  readonly differentiable: boolean;
  readonly listsKeys: boolean;
}

/** Every method package's declarations. */
export async function methodFacts(): Promise<MethodFacts[]> {
  return Promise.all(methodFolders().map(factsOf));
}

async function factsOf(folder: string): Promise<MethodFacts> {
  const { name } = JSON.parse(readFileSync(join(workspace, folder, 'package.json'), 'utf8')) as { name: string };
  const entries = Object.values((await import(`${name}/bench`)) as Record<string, Entry>);
  const slug = basename(folder);
  const entry = entries.find((each) => each?.role === 'method' && each.name === slug);
  if (!entry) throw new Error(`${folder}/bench has no entry of a method called ${slug}`);
  const method = entry.create(parseOptions(entry.options, {}));
  const form = method ? 'method' : entry.answer ? 'procedure' : 'functions';
  const phases = new Map<string, readonly Phase[]>();
  const refusals = new Map<string, string>();
  for (const kind of form === 'functions' ? [] : modelKinds) {
    const refusal = refusalOf(entry, method, kind);
    // What it does by default, and where its options let it act.
    const shared = kind.phases.filter((phase) => entry.phases.includes(phase) || method?.phases.includes(phase));
    if (refusal !== undefined) refusals.set(kind.title, refusal);
    else if (shared.length > 0) phases.set(kind.title, shared);
  }
  const source = filesEnding('.ts', `${folder}/src`).map((path) => readFileSync(join(workspace, path), 'utf8'));
  return {
    slug,
    title: entry.title,
    description: entry.description,
    paper: entry.paper,
    form,
    phases,
    refusals,
    adapterFeatures: ['shader-f16', 'subgroups', 'timestamp-query'].filter((feature) =>
      source.some((text) => text.includes(`'${feature}'`)),
    ),
    differentiable: source.some((text) => /'@saccade\/core\/autodiff'|\battentionBackward\(/.test(text)),
    listsKeys: method?.listsKeys === true,
  };
}

function refusalOf(entry: Entry, method: Method | undefined, kind: ModelKind): string | undefined {
  if (entry.needs === 'vision' && !kind.facts.features?.includes('imageSpans')) return 'needs a model that sees';
  if (!method) return undefined;
  try {
    checkRequirements(method, kind.facts);
    return undefined;
  } catch (error) {
    if (!RefusedError.isInstance(error)) throw error;
    return error.message;
  }
}
