import { interleave } from '../measure/interleave.ts';
import type { PeerRow, UnmeasuredPeer } from '../result-file/types.ts';
import { PeerTimeoutError } from './errors.ts';
import type { Peer } from './peers.ts';
import { type SampledReference, sampledError, sampledReference } from './reference.ts';
import type { Implementation, PreparedWork } from './runner.ts';
import { type Work, workName } from './work.ts';

export interface CompareOptions {
  readonly rounds: number;
  /** Of works that take long there are fewer rounds: as many as fit into this time, and at least one. */
  readonly seconds: number;
  readonly signal: AbortSignal;
  readonly onRun?: () => void;
}

/** One work in all engines. */
export interface Comparison {
  readonly rows: PeerRow[];
  /** Engines that refused the work, failed at it or did not end in time. */
  readonly unmeasured: UnmeasuredPeer[];
}

/** An implementation that takes part, with its work prepared. */
interface Entrant {
  readonly name: string;
  readonly prepared: PreparedWork;
  readonly peer: Peer | undefined;
  /** Milliseconds of its first run, which compiles. */
  firstMs: number;
  /** Why it takes part no more. */
  failure: unknown;
}

/** One work in our implementation and in each peer's, timed alternately; what fails in a peer is told of, and the others go on. */
export async function compareWork(
  work: Work,
  ours: Implementation,
  others: ReadonlyMap<Peer, Implementation>,
  options: CompareOptions,
): Promise<Comparison> {
  const entrants: Entrant[] = [];
  const unmeasured: UnmeasuredPeer[] = [];
  const enter = async (peer: Peer | undefined, implementation: Implementation) => {
    const prepared = await implementation.prepare(work);
    const entrant: Entrant = { name: peer?.name ?? 'ours', prepared, peer, firstMs: 0, failure: undefined };
    entrants.push(entrant);
    // The first run compiles; it counts nowhere.
    entrant.firstMs = await running(entrant, () => prepared.run());
  };
  try {
    await enter(undefined, ours);
    for (const [peer, implementation] of others) {
      options.signal.throwIfAborted();
      if (!peer.does(work)) continue;
      try {
        await enter(peer, implementation);
      } catch (error) {
        unmeasured.push(absence(work, peer, error));
      }
    }
    const rows = await measure(work, entrants, options);
    for (const { peer, failure } of entrants) if (peer && failure) unmeasured.push(absence(work, peer, failure));
    return { rows, unmeasured };
  } finally {
    for (const { prepared } of entrants) await prepared.dispose();
  }
}

/** Runs a part of an entrant's work; of a peer a failure ends its taking part. */
async function running<T>(entrant: Entrant, part: () => Promise<T>): Promise<T | 0> {
  if (entrant.failure) return 0;
  try {
    return await part();
  } catch (error) {
    if (!entrant.peer) throw error;
    entrant.failure = error;
    return 0;
  }
}

function absence(work: Work, peer: Peer, error: unknown): UnmeasuredPeer {
  return {
    work: workName(work),
    peer: peer.name,
    status: error instanceof PeerTimeoutError ? 'timed out' : 'refused',
    reason: error instanceof Error ? error.message : String(error),
  };
}

async function measure(work: Work, entrants: readonly Entrant[], options: CompareOptions): Promise<PeerRow[]> {
  const { signal, onRun } = options;
  const variants = entrants.map((entrant) => ({
    name: entrant.name,
    run: () => running(entrant, () => entrant.prepared.run()),
  }));
  const plan = await planRounds(entrants, options);
  const times = await interleave(variants, { ...plan, signal, ...(onRun ? { onRun } : {}) });
  const outputs = new Map<string, ArrayLike<number>>();
  for (const entrant of entrants) {
    outputs.set(entrant.name, (await running(entrant, () => entrant.prepared.output())) || []);
  }
  const reference = work.kind === 'model' || work.kind === 'training' ? undefined : sampledReference(work);
  const own = times.get('ours');
  return entrants.flatMap(({ name, peer, failure }) => {
    const theirs = times.get(name);
    if (!peer || failure || !own || !theirs) return [];
    const result = (who: string) => outputs.get(who) ?? [];
    return [
      {
        work: workName(work),
        peer: peer.name,
        peerMs: theirs.summary,
        oursMs: own.summary,
        ratio: theirs.summary.median / own.summary.median,
        judged: peer.judged,
        ...(peer.remark === undefined ? {} : { remark: peer.remark }),
        ...(work.kind === 'training'
          ? { peerError: largestDifference(result(name), result('ours')), oursError: null }
          : accuracy(reference, result(name), result('ours'))),
      },
    ];
  });
}

/** Rounds that fit into the time, by what a round took after the first; where that was long already, no time is spent on warming up. */
async function planRounds(
  entrants: readonly Entrant[],
  { rounds, seconds, signal }: CompareOptions,
): Promise<{ readonly rounds: number; readonly warmUp: number }> {
  const first = entrants.reduce((sum, { firstMs }) => sum + firstMs, 0);
  if (first > 2000 * seconds) return { rounds: 1, warmUp: 0 };
  let round = 0;
  for (const entrant of entrants) {
    signal.throwIfAborted();
    round += await running(entrant, () => entrant.prepared.run());
  }
  return { rounds: Math.max(1, Math.min(rounds, Math.floor((1000 * seconds) / round))), warmUp: 0 };
}

/** Errors against the f64 reference; for whole models the share of greedy tokens that are the same. */
function accuracy(
  reference: SampledReference | undefined,
  theirs: ArrayLike<number>,
  ours: ArrayLike<number>,
): Pick<PeerRow, 'peerError' | 'oursError' | 'agreement'> {
  if (reference) return { peerError: sampledError(theirs, reference), oursError: sampledError(ours, reference) };
  const count = Math.min(theirs.length, ours.length);
  let equal = 0;
  for (let index = 0; index < count; index++) if (theirs[index] === ours[index]) equal++;
  return { peerError: null, oursError: null, agreement: equal / Math.max(1, count) };
}

/** Of losses, relative to ours. */
function largestDifference(theirs: ArrayLike<number>, ours: ArrayLike<number>): number {
  const differences = Array.from(ours, (own, step) => Math.abs((theirs[step] as number) / own - 1));
  // What is NaN or missing must not pass as near.
  return Math.max(...differences.map((each) => (Number.isNaN(each) ? Number.POSITIVE_INFINITY : each)));
}
