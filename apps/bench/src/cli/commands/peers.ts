import { join } from 'node:path';
import { nearNames, openGpu } from '@saccade/core';
import { ModelNotFoundError, resolveModel } from '@saccade/models';
import { compareWork } from '../../peers/compare.ts';
import { Ours } from '../../peers/ours.ts';
import { PeerProcess } from '../../peers/peer-process.ts';
import { type Peer, peers } from '../../peers/peers.ts';
import { workName } from '../../peers/work.ts';
import { chooseWorks, worksToCompare } from '../../peers/works.ts';
import { progressStream, startProgress } from '../../progress/progress.ts';
import { peerTable, unmeasuredPeersTable } from '../../report/markdown.ts';
import { describeEnvironment } from '../../result-file/environment.ts';
import { writeResultFile } from '../../result-file/read-write.ts';
import type { PeerRow, UnmeasuredPeer } from '../../result-file/types.ts';
import { UsageError } from '../../usage-error.ts';
import { onGpu } from '../gpu-stage.ts';
import type { CliContext, ExitCode } from '../program.ts';

/** Options of `peers` as commander gives them. */
export interface PeersFlags {
  readonly adapter?: string;
  readonly peer: readonly string[];
  readonly work: string;
  readonly repeats: number;
  readonly seconds: number;
  readonly limit: number;
  readonly quick?: boolean;
  readonly json?: string;
}

/**
 * Compares works with other engines on the same adapter and prints a table.
 *
 * @returns 1 where no comparison came about, else 0.
 * @throws UsageError for an unknown engine or work, before anything runs.
 */
export async function peersCommand(context: CliContext, flags: PeersFlags): Promise<ExitCode> {
  const chosen = choosePeers(flags.peer);
  return await onGpu(flags.adapter, () => compareAll(context, flags, chosen));
}

function choosePeers(names: readonly string[]): readonly Peer[] {
  if (names.length === 0) return peers;
  const known = peers.map(({ name }) => name);
  return names.map((name) => {
    const peer = peers.find((candidate) => candidate.name === name);
    if (peer) return peer;
    const near = nearNames(name, known);
    throw new UsageError(
      `There is no engine '${name}'. ${near.length > 0 ? `Near: ${near.join(', ')}` : `Known: ${known.join(', ')}`}.`,
    );
  });
}

async function compareAll(context: CliContext, flags: PeersFlags, chosen: readonly Peer[]): Promise<ExitCode> {
  const log = (line: string) => console.error(line);
  const quick = flags.quick === true;
  const works = chooseWorks(worksToCompare(quick, await modelFile(quick, log)), flags.work);
  const gpu = await openGpu();
  const ours = new Ours(gpu);
  const processes = new Map<Peer, PeerProcess>();
  const rows: PeerRow[] = [];
  const unmeasured: UnmeasuredPeer[] = [];
  const progress = startProgress('peers', progressStream());
  const stopAll = () => {
    for (const started of processes.values()) started.stop();
  };
  // An engine in the middle of a long run would hold up the end of the command.
  context.signal.addEventListener('abort', stopAll);
  try {
    for (const peer of chosen) {
      if (!works.some(peer.does)) continue;
      try {
        const started = await PeerProcess.start(peer, flags.limit, log);
        processes.set(peer, started);
        log(`${peer.name}: ${started.description}`);
      } catch (error) {
        const reason = (error as Error).message;
        log(`${peer.name} takes no part: ${reason}`);
        const refused = works.filter(peer.does).map((work) => ({ work: workName(work), peer: peer.name }));
        unmeasured.push(...refused.map((each) => ({ ...each, status: 'refused' as const, reason })));
      }
    }
    progress.total(works.length);
    for (const work of works) {
      const options = { rounds: flags.repeats, seconds: flags.seconds, signal: context.signal };
      const compared = await compareWork(work, ours, processes, options);
      rows.push(...compared.rows);
      unmeasured.push(...compared.unmeasured);
      for (const { peer, work: name, status, reason } of compared.unmeasured)
        log(`${peer}, ${name}: ${status}: ${reason}`);
      progress.advance(1, workName(work));
    }
  } finally {
    progress.finish();
    context.signal.removeEventListener('abort', stopAll);
    stopAll();
    // What was measured before a stop is worth keeping.
    console.log([peerTable(rows), unmeasuredPeersTable(unmeasured)].filter((table) => table !== '').join('\n\n'));
    if (flags.json !== undefined && rows.length + unmeasured.length > 0) {
      const run = { commandLine: context.commandLine, quick: flags.quick === true, leftOut: [] };
      const environment = describeEnvironment(gpu, run);
      writeResultFile(flags.json, {
        schema: 'saccade-bench/1',
        environment,
        results: [],
        peers: rows,
        unmeasuredPeers: unmeasured,
      });
      log(`Wrote ${flags.json}`);
    }
  }
  return rows.length > 0 ? 0 : 1;
}

/** The GGUF file of the bench's default model, which llama.cpp reads too. */
async function modelFile(quick: boolean, log: (line: string) => void): Promise<string | undefined> {
  if (quick) return undefined;
  try {
    const { location, names, weights } = await resolveModel('HuggingFaceTB/SmolLM2-135M-Instruct', {
      sources: ['cache', 'pip'],
    });
    const file = names.find((name) => name.endsWith('.gguf'));
    if (weights?.endsWith('.gguf')) return location;
    return file === undefined ? undefined : join(location, file);
  } catch (error) {
    if (!(error instanceof ModelNotFoundError)) throw error;
    log(`whole models are left out: ${error.message}`);
    return undefined;
  }
}
