import type { AdapterFacts, Capabilities } from '../device/capabilities.ts';

/** Which variant of each heavy kernel is fastest on an adapter: plain data, to be saved as JSON and given to `openGpu` again. */
export interface Tuning {
  /** The adapter that it was measured on, as {@link adapterName} tells it. */
  readonly adapter: string;
  /** Variant by kernel family. */
  readonly choices: Readonly<Record<string, string>>;
  /** Median milliseconds of every variant that was measured, by kernel family. */
  readonly milliseconds: Readonly<Record<string, Readonly<Record<string, number>>>>;
}

/** A kernel that comes in variants, all right on an adapter and of unknown speed. */
export interface TunedFamily {
  /** Unique, such as `attention.prefill`. */
  readonly name: string;
  /** Names of the variants that the adapter can run; the first is the default. Names are kept in saved tunings: a changed meaning takes a new name. */
  readonly variants: (capabilities: Capabilities) => readonly [string, ...string[]];
}

/** What an adapter says of itself, and what its device offers to kernels: equal names run equal kernels. */
export function adapterName(adapter: AdapterFacts, capabilities: Capabilities): string {
  const { vendor, architecture, device, description } = adapter;
  const { f16, subgroups, subgroupMinSize, subgroupMaxSize, maxInvocations, maxWorkgroupStorage, maxStorageBuffers } =
    capabilities;
  const features = [
    ...(f16 ? ['f16'] : []),
    ...(subgroups ? [`subgroups ${subgroupMinSize} to ${subgroupMaxSize}`] : []),
    `${maxInvocations} invocations`,
    `${maxWorkgroupStorage} bytes`,
    `${maxStorageBuffers} buffers`,
  ];
  return [vendor, architecture, device, description, ...features].filter((text) => text !== '').join(', ');
}

/** The adapter's name and the choices in use. */
export function fingerprint(adapter: string, tuning: Tuning | undefined): string {
  const choices = Object.entries(tuning?.choices ?? {}).sort(([a], [b]) => (a < b ? -1 : 1));
  return [adapter, ...choices.map(([name, choice]) => `${name}: ${choice}`)].join('; ');
}

/** The variant of a family in use: the tuned one where the adapter can run it, else the default. */
export function tunedVariant(family: TunedFamily, capabilities: Capabilities, tuning: Tuning | undefined): string {
  const variants = family.variants(capabilities);
  const chosen = tuning?.choices[family.name];
  return chosen !== undefined && variants.includes(chosen) ? chosen : variants[0];
}
