import { createHash } from 'node:crypto';
import { adapterLabel } from './adapter.ts';
import { readChoice, writeChoice } from './choice-cache.ts';
import { type AdapterChoice, chooseAdapter, mergeLibraryPath } from './choose-adapter.ts';
import type { Log } from './log.ts';

/** Who is told about the steps of a set-up. */
export interface EnsureOptions {
  readonly log?: Log;
}

/**
 * The adapter that this machine uses, from the cache where an earlier process found it out. Unpacks nothing.
 *
 * @throws AdapterUnavailableError where none is there yet.
 */
export async function currentAdapter(): Promise<AdapterChoice> {
  return readChoice() ?? remember(await chooseAdapter({ setUp: false, log: () => undefined }));
}

/**
 * The environment variables that a process must be started with so that Dawn finds the chosen adapter; empty where the
 * machine's own driver needs none. Costs a few milliseconds once the choice is cached.
 *
 * @throws AdapterUnavailableError where no adapter is there; {@link ensureGpuEnvironment} would unpack one.
 */
export async function gpuEnvironment(): Promise<Record<string, string>> {
  return { ...mergeLibraryPath((await currentAdapter()).variables) };
}

/**
 * As {@link gpuEnvironment}, and unpacks a software driver into the user's cache folder where there is no adapter.
 *
 * @throws AdapterUnavailableError where that fails too.
 */
export async function ensureGpuEnvironment(options: EnsureOptions = {}): Promise<Record<string, string>> {
  return { ...mergeLibraryPath((await ensureAdapter(options)).variables) };
}

/** As {@link currentAdapter}, and unpacks a software driver into the user's cache folder where there is no adapter. */
export async function ensureAdapter({ log = () => undefined }: EnsureOptions = {}): Promise<AdapterChoice> {
  const known = readChoice();
  if (known) return known;
  const choice = remember(await chooseAdapter({ setUp: true, log }));
  log(`adapter: ${adapterLabel(choice.adapter)}, from ${choice.source}`);
  return choice;
}

/** A short hash of adapter, driver and Node version, for everything cached that depends on them. */
export function gpuFingerprint({ adapter }: AdapterChoice): string {
  const { vendor, architecture, device, description, features } = adapter;
  const facts = [process.version, vendor, architecture, device, description, features];
  return createHash('sha256').update(JSON.stringify(facts)).digest('hex').slice(0, 16);
}

function remember(choice: AdapterChoice): AdapterChoice {
  writeChoice(choice);
  return choice;
}
