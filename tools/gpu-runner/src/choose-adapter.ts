import { type AdapterKind, type AdapterReport, adapterLabel } from './adapter.ts';
import {
  borrowedLoaderVariables,
  driverVariables,
  type GpuVariables,
  installedLavapipe,
  unpackedDriverVariables,
} from './candidates.ts';
import { unpackLavapipe } from './drivers/lavapipe.ts';
import { unpackSwiftShader } from './drivers/swiftshader.ts';
import { findUnpackedDriver, type UnpackedDriver } from './drivers/unpacked-driver.ts';
import { AdapterUnavailableError } from './errors.ts';
import type { Log } from './log.ts';
import { type ProbeResult, probeAdapter } from './probe.ts';
import { type AdapterRequest, adapterRequest, refusal } from './request.ts';

/** Something that was tried and not taken. */
export interface PassedOver {
  readonly what: string;
  readonly reason: string;
}

/** The adapter that was chosen and how a process gets it. */
export interface AdapterChoice {
  readonly adapter: AdapterReport;
  /** Where it comes from, for people. */
  readonly source: string;
  readonly variables: GpuVariables;
  readonly passedOver: readonly PassedOver[];
}

/** Whether missing software drivers may be unpacked, and who is told. */
export interface ChooseOptions {
  readonly setUp: boolean;
  readonly log: Log;
}

interface Candidate {
  readonly what: string;
  /** What this candidate could give; it is not tried where another kind is asked for. */
  readonly kinds: readonly AdapterKind[];
  /** The variables to try, or why there is nothing to try. */
  prepare(): Promise<GpuVariables | string>;
  /** Makes what an earlier set-up made anew, where that may help; otherwise undefined. */
  renew?(): Promise<GpuVariables | undefined>;
}

/**
 * Tries adapters in order (the machine's own, then lavapipe, then SwiftShader) until one works and is what
 * `SACCADE_ADAPTER` asks for.
 *
 * @throws AdapterUnavailableError with everything that was tried, and what to do.
 */
export async function chooseAdapter(options: ChooseOptions): Promise<AdapterChoice> {
  const request = adapterRequest();
  const passedOver: PassedOver[] = [];
  for (const candidate of candidates(request, options, passedOver)) {
    const { what } = candidate;
    const pass = (reason: string) => passedOver.push({ what, reason });
    if (request.by === 'kind' && !candidate.kinds.includes(request.kind)) {
      pass(`SACCADE_ADAPTER asks for ${request.kind}`);
      continue;
    }
    const variables = await candidate.prepare();
    if (typeof variables === 'string') {
      pass(variables);
      continue;
    }
    const named: GpuVariables =
      request.by === 'name' ? { ...variables, SACCADE_ADAPTER_NAME: request.name } : variables;
    const result = await probeOrRenew(candidate, named);
    if (!result.found) {
      pass(result.reason);
      continue;
    }
    const unwanted = refusal(request, result.adapter);
    if (unwanted !== undefined) {
      pass(`found ${adapterLabel(result.adapter)}, but ${unwanted}`);
      continue;
    }
    const others = result.seen.filter((name) => name !== result.name && !describes(name, result.adapter));
    for (const name of others)
      passedOver.push({ what: name, reason: `Dawn sees it too; ${adapterLabel(result.adapter)} goes first` });
    const chosen: GpuVariables =
      result.name === undefined ? variables : { ...variables, SACCADE_ADAPTER_NAME: result.name };
    return { adapter: result.adapter, source: what, variables: chosen, passedOver };
  }
  throw new AdapterUnavailableError(unavailableMessage(request, passedOver, options.setUp));
}

/** A driver that was unpacked on a machine with other libraries (a shared home folder, an upgrade) may have to be redone. */
async function probeOrRenew(candidate: Candidate, variables: GpuVariables): Promise<ProbeResult> {
  const result = await probeAdapter(mergeLibraryPath(variables));
  if (result.found || (await candidate.renew?.()) === undefined) return result;
  return probeAdapter(mergeLibraryPath(variables));
}

/** Dawn's report spells a name with dashes for everything but letters and digits. */
function describes(name: string, adapter: AdapterReport): boolean {
  const plain = (text: string) => text.toLowerCase().replace(/[^a-z0-9]+/g, '');
  return plain(adapter.device) === plain(name);
}

/** Puts the variables' LD_LIBRARY_PATH in front of the one that is set. */
export function mergeLibraryPath(variables: GpuVariables, present = process.env.LD_LIBRARY_PATH): GpuVariables {
  const own = variables.LD_LIBRARY_PATH;
  if (!own || !present) return variables;
  const others = present.split(':').filter((folder) => folder !== own);
  return { ...variables, LD_LIBRARY_PATH: [own, ...others].join(':') };
}

function candidates(request: AdapterRequest, options: ChooseOptions, passedOver: readonly PassedOver[]): Candidate[] {
  const linux = process.platform === 'linux';
  const elsewhere = `software drivers are unpacked on Linux only, this is ${process.platform}`;
  const own: Candidate = {
    what: 'the machine',
    kinds: ['hardware', 'lavapipe', 'swiftshader', 'software'],
    prepare: async () => ({}),
  };
  const borrowed: Candidate = {
    what: "the machine's drivers with the unpacked Vulkan loader",
    kinds: ['hardware'],
    prepare: async () => {
      if (!passedOver.some(({ reason }) => reason.includes('libvulkan.so'))) return 'the machine has a Vulkan loader';
      if (options.setUp) await unpacked('lavapipe', options);
      return borrowedLoaderVariables() ?? 'no loader is unpacked';
    },
  };
  const installed: Candidate = {
    what: 'lavapipe installed on the machine',
    kinds: ['lavapipe'],
    prepare: async () => {
      const manifest = installedLavapipe();
      return manifest ? driverVariables(manifest) : 'not installed';
    },
  };
  const unpackedDriver = (kind: UnpackedDriver['kind']): Candidate => ({
    what: `${kind} unpacked in the cache folder`,
    kinds: [kind],
    prepare: async () => {
      const driver = await unpacked(kind, options);
      return typeof driver === 'string' ? driver : unpackedDriverVariables(driver);
    },
    renew: async () => {
      if (!options.setUp || attempts.has(kind)) return undefined;
      options.log(`the ${kind} driver in the cache folder does not work here, unpacking it anew`);
      const driver = await unpack(kind, options.log);
      return typeof driver === 'string' ? undefined : unpackedDriverVariables(driver);
    },
  });
  const software = linux ? [installed, unpackedDriver('lavapipe'), unpackedDriver('swiftshader')] : [];
  if (!linux && request.by === 'kind' && request.kind !== 'hardware') {
    return [own, { what: request.kind, kinds: [request.kind], prepare: async () => elsewhere }];
  }
  return linux ? [own, borrowed, ...software] : [own];
}

const attempts = new Map<UnpackedDriver['kind'], Promise<UnpackedDriver | string>>();

/** The unpacked driver; unpacks it where it is missing and that is wanted. A failure is told as a reason. */
async function unpacked(kind: UnpackedDriver['kind'], { setUp, log }: ChooseOptions): Promise<UnpackedDriver | string> {
  const present = findUnpackedDriver(kind);
  if (present || !setUp) return present ?? 'not unpacked';
  return unpack(kind, log);
}

/** Unpacks a driver, once per process. */
function unpack(kind: UnpackedDriver['kind'], log: Log): Promise<UnpackedDriver | string> {
  const make = kind === 'lavapipe' ? unpackLavapipe : unpackSwiftShader;
  const attempt =
    attempts.get(kind) ??
    make(log).catch((error: unknown) => {
      const reason = error instanceof Error ? error.message : String(error);
      log(`could not unpack ${kind}: ${reason}`);
      return reason;
    });
  attempts.set(kind, attempt);
  return attempt;
}

function unavailableMessage(request: AdapterRequest, passedOver: readonly PassedOver[], setUp: boolean): string {
  const wanted =
    request.by === 'order' ? '' : ` that fits SACCADE_ADAPTER=${request.by === 'kind' ? request.kind : request.name}`;
  const advice = [
    ...(request.by === 'order' ? [] : ['unset SACCADE_ADAPTER to take any adapter']),
    ...(setUp
      ? []
      : ['run `saccade-gpu setup`, which unpacks a software driver into your cache folder (no root needed)']),
    'run `saccade-gpu setup --system` as root, which installs Mesa with apt',
    'install the Vulkan, Metal or D3D12 driver of your GPU',
  ];
  return [
    `No WebGPU adapter${wanted}.`,
    ...passedOver.map(({ what, reason }) => `  ${what}: ${reason}`),
    'What to do:',
    ...advice.map((line) => `  - ${line}`),
  ].join('\n');
}
