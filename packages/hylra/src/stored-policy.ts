import { ArgumentError, type ModelFacts, RefusedError } from '@saccade/core';
import { checkLayerPolicy, type LayerPolicy } from './layer-policy.ts';

const format = 'saccade-hylra-policy';
const sizes = ['layers', 'heads', 'kvHeads', 'headSize', 'hiddenSize', 'vocabularySize'] as const;

/** What tells one kind of model from another. Fine-tuned models have the fingerprint of their base. */
export interface ModelFingerprint extends Pick<ModelFacts, 'architecture' | (typeof sizes)[number]> {
  readonly globalLayers: number;
}

/** A policy with what it was made for and from; plain JSON. */
export interface StoredPolicy {
  readonly format: typeof format;
  readonly version: 1;
  /** The model's name when it was profiled; for people. */
  readonly name: string;
  readonly fingerprint: ModelFingerprint;
  readonly policy: LayerPolicy;
  /** How it came about: k, theta, calibration text, ...; for people. */
  readonly madeWith: Readonly<Record<string, string | number | boolean>>;
}

/** The fingerprint of a model. */
export function fingerprintOf(facts: ModelFacts): ModelFingerprint {
  const { architecture, layers, heads, kvHeads, headSize, hiddenSize, vocabularySize } = facts;
  const globalLayers = facts.layerKinds.filter((kind) => kind === 'global').length;
  return { architecture, layers, heads, kvHeads, headSize, hiddenSize, vocabularySize, globalLayers };
}

/**
 * Puts a policy with the fingerprint of its model; `JSON.stringify` saves it.
 *
 * @throws ArgumentError for a policy that does not fit the model.
 */
export function storePolicy(
  facts: ModelFacts,
  policy: LayerPolicy,
  madeWith: StoredPolicy['madeWith'] = {},
): StoredPolicy {
  const fingerprint = fingerprintOf(facts);
  checkLayerPolicy(policy, fingerprint.globalLayers);
  return { format, version: 1, name: facts.name, fingerprint, policy: [...policy], madeWith };
}

/**
 * Reads a stored policy from JSON text or a parsed value.
 *
 * @throws ArgumentError that names what is missing or wrong.
 */
export function parsePolicy(source: string | unknown): StoredPolicy {
  const value = (typeof source === 'string' ? parseJson(source) : source) as Partial<StoredPolicy> | null;
  const refuse = (what: string, given: unknown, allowed: string): never => {
    throw new ArgumentError(`policy file: ${what}`, given, allowed);
  };
  if (typeof value !== 'object' || value === null) return refuse('content', value, 'an object');
  if (value.format !== format) return refuse('format', value.format, format);
  if (value.version !== 1) return refuse('version', value.version, '1');
  const { fingerprint, policy } = value;
  if (typeof fingerprint !== 'object' || fingerprint === null) return refuse('fingerprint', fingerprint, 'an object');
  if (typeof fingerprint.architecture !== 'string')
    return refuse('fingerprint.architecture', fingerprint.architecture, 'a name');
  for (const name of [...sizes, 'globalLayers'] as const) {
    const size = fingerprint[name];
    if (!(Number.isInteger(size) && size >= 1)) return refuse(`fingerprint.${name}`, size, 'an integer of 1 or more');
  }
  if (!Array.isArray(policy)) return refuse('policy', policy, 'a list of numbers');
  checkLayerPolicy(policy, fingerprint.globalLayers);
  return {
    format,
    version: 1,
    name: typeof value.name === 'string' ? value.name : '',
    fingerprint,
    policy,
    madeWith: typeof value.madeWith === 'object' && value.madeWith !== null ? value.madeWith : {},
  };
}

/** @throws RefusedError where a stored policy belongs to another model, naming the first difference. */
export function checkFingerprint(stored: StoredPolicy, facts: ModelFacts): void {
  const own = fingerprintOf(facts);
  const name = firstDifference(stored.fingerprint, own);
  if (!name) return;
  throw new RefusedError(
    `hylra cannot use this policy on ${facts.name}: it was made for ${stored.name || 'another model'}, whose ${name} is ` +
      `${stored.fingerprint[name]}, not ${own[name]}. Profile this model with profileLayers and solveThresholdPolicy.`,
  );
}

/** What tells two fingerprints apart; undefined where they are the same. */
export function firstDifference(a: ModelFingerprint, b: ModelFingerprint): keyof ModelFingerprint | undefined {
  return (Object.keys(b) as (keyof ModelFingerprint)[]).find((name) => a[name] !== b[name]);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new ArgumentError('policy file', (error as Error).message, 'JSON, as storePolicy gives it');
  }
}
