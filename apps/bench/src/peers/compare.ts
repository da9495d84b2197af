import { interleave } from '../measure/interleave.ts';
import type { PeerRow } from '../result-file/types.ts';
import type { Peer } from './peers.ts';
import { type SampledReference, sampledError, sampledReference } from './reference.ts';
import type { Implementation, PreparedWork } from './runner.ts';
import { type Work, workName } from './work.ts';

export interface CompareOptions {
  readonly rounds: number;
  /** Of works that take long there are fewer rounds: as many as fit into this time, and at least one. */
  readonly seconds: number;
  readonly signal: AbortSignal;
  /** Told of a peer that refuses a work or fails at it; the comparison goes on without. */
  readonly onRefusal: (peer: string, work: string, reason: string) => void;
  readonly onRun?: () => void;
}

/** An implementation that takes part, with its work prepared. */
interface Entrant {
  readonly name: string;
  readonly prepared: PreparedWork;
  readonly peer: Peer | undefined;
  /** Milliseconds of its first run, which compiles. */
  firstMs: number;
}

/** One work in our implementation and in each peer's, timed alternately: a row per peer. */
export async function compareWork(
  work: Work,
  ours: Implementation,
  others: ReadonlyMap<Peer, Implementation>,
  options: CompareOptions,
): Promise<PeerRow[]> {
  const name = workName(work);
  const entrants: Entrant[] = [];
  const enter = async (peer: Peer | undefined, implementation: Implementation) => {
    const prepared = await implementation.prepare(work);
    const entrant = { name: peer?.name ?? 'ours', prepared, peer, firstMs: 0 };
    entrants.push(entrant);
    // The first run compiles; it counts nowhere.
    entrant.firstMs = await prepared.run();
  };
  try {
    await enter(undefined, ours);
    for (const [peer, implementation] of others) {
      options.signal.throwIfAborted();
      if (!peer.does(work)) continue;
      try {
        await enter(peer, implementation);
      } catch (error) {
        if (entrants.at(-1)?.peer === peer) entrants.pop();
        options.onRefusal(peer.name, name, (error as Error).message);
      }
    }
    return await measure(work, entrants, options);
  } finally {
    for (const { prepared } of entrants) await prepared.dispose();
  }
}

async function measure(work: Work, entrants: readonly Entrant[], options: CompareOptions): Promise<PeerRow[]> {
  const { signal, onRun } = options;
  const variants = entrants.map(({ name, prepared }) => ({ name, run: () => prepared.run() }));
  const plan = await planRounds(entrants, options);
  const times = await interleave(variants, { ...plan, signal, ...(onRun ? { onRun } : {}) });
  const outputs = new Map<string, ArrayLike<number>>();
  for (const { name, prepared } of entrants) outputs.set(name, await prepared.output());
  const reference = work.kind === 'model' || work.kind === 'training' ? undefined : sampledReference(work);
  const own = times.get('ours');
  return entrants.flatMap(({ name, peer }) => {
    const theirs = times.get(name);
    if (!peer || !own || !theirs) return [];
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
  for (const { prepared } of entrants) {
    signal.throwIfAborted();
    round += await prepared.run();
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
