import { RefusedError } from '../errors.ts';
import type { Phase } from './contexts.ts';
import type { ModelFacts } from './model-handle.ts';
import { missingSpans, type PromptSpans, type SpanName } from './spans.ts';

/** Abilities that only some models have. */
export type ModelFeature =
  /** Prompts hold images whose token spans are known. */
  | 'imageSpans'
  /** A prefill may wait for a decision of the host between two layers. */
  | 'hostDecisions'
  | (string & {});

/** What a method must find in a model; checked when a run starts. */
export interface Requirements {
  /** The model runs in these phases. */
  readonly phases?: readonly Phase[];
  /** The model's tokens see only earlier ones (`causal`), or all (`bidirectional`). */
  readonly direction?: 'causal' | 'bidirectional';
  /** At least this many layers whose keys reach over the whole context. */
  readonly globalLayers?: number;
  /** At least this many denoising steps. */
  readonly denoisingSteps?: number;
  readonly features?: readonly ModelFeature[];
  /** Spans that the prompt must have; checked when it is known. The model must know the spans of its prompts. */
  readonly spans?: readonly SpanName[];
  /** Cached rows stand at their positions: no method evicts, and none has left tokens out before. */
  readonly wholeCache?: boolean;
  /** Any further condition: a reason to refuse, or undefined. */
  readonly check?: (facts: ModelFacts) => string | undefined;
}

/** Phases that a model runs in. */
function phasesOf(facts: ModelFacts): readonly Phase[] {
  return facts.phases ?? (facts.causal ? ['prefill', 'decode'] : ['encode']);
}

/** @throws RefusedError that names the method, the model and everything that is missing. */
export function checkRequirements(
  method: { readonly name: string; readonly requires?: Requirements },
  facts: ModelFacts,
): void {
  const { requires } = method;
  if (!requires) return;
  const reasons: string[] = [];
  const missing = (requires.phases ?? []).filter((phase) => !phasesOf(facts).includes(phase));
  if (missing.length > 0) reasons.push(`needs the phases ${missing.join(', ')}; it has ${phasesOf(facts).join(', ')}`);
  const direction = facts.causal ? 'causal' : 'bidirectional';
  if (requires.direction && requires.direction !== direction)
    reasons.push(`needs a ${requires.direction} model; it is ${direction}`);
  const globalLayers = facts.layerKinds.filter((kind) => kind === 'global').length;
  if (requires.globalLayers !== undefined && globalLayers < requires.globalLayers)
    reasons.push(`needs ${requires.globalLayers} global layers; it has ${globalLayers}`);
  const steps = facts.denoisingSteps ?? 0;
  if (requires.denoisingSteps !== undefined && steps < requires.denoisingSteps)
    reasons.push(`needs ${requires.denoisingSteps} denoising steps; it has ${steps}`);
  for (const feature of requires.features ?? [])
    if (!facts.features?.includes(feature)) reasons.push(`needs the feature ${feature}, which it lacks`);
  if (requires.spans && requires.spans.length > 0 && !facts.features?.includes('imageSpans'))
    reasons.push(`needs a model that knows the spans of its prompts (${requires.spans.join(', ')})`);
  const reason = requires.check?.(facts);
  if (reason) reasons.push(reason);
  if (reasons.length > 0) throw new RefusedError(`${method.name} cannot run on ${facts.name}: ${reasons.join('; ')}.`);
}

/** @throws RefusedError that names a method and the spans of a prompt that it misses */
export function checkSpans(
  methods: readonly { readonly name: string; readonly requires?: Requirements }[],
  spans: PromptSpans | undefined,
): void {
  for (const { name, requires } of methods) {
    const missing = missingSpans(requires?.spans ?? [], spans);
    if (missing.length === 0) continue;
    throw new RefusedError(`${name} cannot run on this prompt: it has no ${missing.join(' and no ')}.`);
  }
}

interface CacheUser {
  readonly name: string;
  readonly requires?: Requirements;
  readonly evicts?: boolean;
}

/** @throws RefusedError that names a method which evicts and one which needs what that evicts */
export function checkEviction(methods: readonly CacheUser[]): void {
  const evicting = methods.find(({ evicts }) => evicts);
  const whole = methods.find(({ requires }) => requires?.wholeCache);
  if (!evicting || !whole) return;
  throw new RefusedError(
    `${whole.name} and ${evicting.name} cannot run together: ${whole.name} looks rows of the cache up by position, and ${evicting.name} evicts rows.`,
  );
}

/** @throws RefusedError that names a method which needs rows that a layer lacks */
export function checkWholeCache(methods: readonly CacheUser[], layer: number): void {
  const whole = methods.find(({ requires }) => requires?.wholeCache);
  if (!whole) return;
  throw new RefusedError(
    `${whole.name} cannot run on this cache: it looks rows up by position, and layer ${layer} has lost tokens to an eviction or a selection. Prefill without that method.`,
  );
}

interface ListUser {
  readonly name: string;
  readonly phases: readonly Phase[];
  readonly listsKeys?: boolean;
}

/** @throws RefusedError that names two methods which restrict attention to lists of keys in one phase */
export function checkLists(methods: readonly ListUser[]): void {
  const listing = methods.filter(({ listsKeys }) => listsKeys);
  for (const [index, first] of listing.entries()) {
    for (const second of listing.slice(index + 1)) {
      const phase = first.phases.find((each) => second.phases.includes(each));
      if (phase === undefined) continue;
      throw new RefusedError(
        `${first.name} and ${second.name} cannot run together in ${phase}: each restricts attention to a list of keys, and a layer follows one. Use one of them, or give them different phases.`,
      );
    }
  }
}
