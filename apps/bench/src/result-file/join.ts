import { UsageError } from '../usage-error.ts';
import type { PeerRow, ResultFile, RooflinePeak, UnmeasuredPeer } from './types.ts';

/**
 * One file of what several hold. Of a peak, or of a work in another engine, that is in several, the last counts. The environment is that of the last
 * file, with all command lines.
 *
 * @throws UsageError for no file, or files of different adapters
 */
export function joinResultFiles(files: readonly ResultFile[]): ResultFile {
  const last = files.at(-1);
  if (!last) throw new UsageError('There is no file to join.');
  const adapters = new Set(files.map(({ environment }) => environment.adapter?.description ?? 'none'));
  if (adapters.size > 1) throw new UsageError(`The files are of different adapters: ${[...adapters].join('; ')}.`);
  const peaks = new Map<string, RooflinePeak>();
  for (const peak of files.flatMap(({ roofline }) => roofline?.peaks ?? [])) {
    peaks.set(`${peak.name}/${peak.workingSetBytes ?? ''}`, peak);
  }
  const peers = new Map<string, PeerRow>();
  const unmeasured = new Map<string, UnmeasuredPeer>();
  for (const file of files) {
    const keyed = <Row extends UnmeasuredPeer | PeerRow>(rows: readonly Row[] = []) =>
      rows.map((row) => [`${row.work}/${row.peer}`, row] as const);
    for (const [key, row] of keyed(file.unmeasuredPeers)) {
      unmeasured.set(key, row);
      peers.delete(key);
    }
    for (const [key, row] of keyed(file.peers)) {
      peers.set(key, row);
      unmeasured.delete(key);
    }
  }
  const pictures = files.flatMap((file) => file.pictures ?? []);
  const environments = files.map(({ environment }) => environment);
  return {
    schema: 'saccade-bench/1',
    environment: {
      ...last.environment,
      commandLine: environments.map(({ commandLine }) => commandLine).join('; '),
      quick: environments.some(({ quick }) => quick),
      leftOut: [...new Set(environments.flatMap(({ leftOut }) => leftOut))],
    },
    results: files.flatMap(({ results }) => results),
    ...(peaks.size > 0 ? { roofline: { peaks: [...peaks.values()] } } : {}),
    ...(peers.size > 0 ? { peers: [...peers.values()] } : {}),
    ...(unmeasured.size > 0 ? { unmeasuredPeers: [...unmeasured.values()] } : {}),
    ...(pictures.length > 0 ? { pictures } : {}),
  };
}
