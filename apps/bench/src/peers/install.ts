import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { SaccadeError } from '@saccade/core';
import { cacheFolder } from '@saccade/gpu-runner';
import type { Peer } from './peers.ts';

/** A peer could not be installed. */
export class PeerInstallError extends SaccadeError {
  constructor(what: string, cause: unknown) {
    super('peer-install', `${what} could not be installed: ${(cause as Error).message.split('\n')[0]}`, { cause });
  }
}

/** Where an installed peer is. */
export interface InstalledPeer {
  /** A module inside the peer's folder whose `load(name)` imports a package of that folder. */
  readonly loader: string;
  /** The Node program to run it with. */
  readonly node: string;
}

/**
 * Installs a peer into the cache folder, once: peers are measured beside this project and are no dependency of it.
 * Install scripts do not run; they would download more.
 *
 * @throws PeerInstallError
 */
export async function installPeer(peer: Peer, log: (line: string) => void): Promise<InstalledPeer> {
  const folder = await installed(peer.packages, log);
  const loader = join(folder, 'load.mjs');
  if (!existsSync(loader)) writeFileSync(loader, 'export const load = (name) => import(name);\n');
  return { loader: pathToFileURL(loader).href, node: await nodeProgram(peer, log) };
}

async function nodeProgram({ needsNode }: Peer, log: (line: string) => void): Promise<string> {
  if (needsNode === undefined || Number(process.versions.node.split('.')[0]) >= needsNode) return process.execPath;
  const name = `node-${process.platform}-${process.arch}`;
  const folder = await installed({ [name]: String(needsNode) }, log);
  return join(folder, 'node_modules', name, 'bin', 'node');
}

/** The folder with these packages in it. */
async function installed(packages: Readonly<Record<string, string>>, log: (line: string) => void): Promise<string> {
  const specifiers = Object.entries(packages).map(([name, version]) => `${name}@${version}`);
  const folder = join(cacheFolder(), 'peers', specifiers.join('+').replaceAll('/', '_'));
  const done = join(folder, 'installed');
  if (existsSync(done)) return folder;
  log(`installing ${specifiers.join(', ')} into the cache folder`);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'package.json'), '{ "private": true }\n');
  const flags = ['--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'];
  try {
    await promisify(execFile)('npm', ['install', ...flags, ...specifiers], { cwd: folder, timeout: 600_000 });
  } catch (cause) {
    throw new PeerInstallError(specifiers.join(', '), cause);
  }
  writeFileSync(done, `${specifiers.join('\n')}\n`);
  return folder;
}
