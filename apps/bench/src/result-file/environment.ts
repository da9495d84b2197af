import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { cpus, release, type as systemName, totalmem } from 'node:os';
import { fileURLToPath } from 'node:url';
import type { Gpu } from '@saccade/core';
import { describeAdapter } from './adapter-facts.ts';
import type { Environment } from './types.ts';

const require = createRequire(import.meta.url);
const packageRoot = fileURLToPath(new URL('../../', import.meta.url));

/** Facts about this machine, its adapter and this run. `gpu` is undefined where none was opened. */
export function describeEnvironment(
  gpu: Gpu | undefined,
  run: Pick<Environment, 'commandLine' | 'quick' | 'leftOut' | 'notice'>,
): Environment {
  return {
    date: new Date().toISOString(),
    commandLine: run.commandLine,
    quick: run.quick,
    leftOut: run.leftOut,
    ...(run.notice === undefined ? {} : { notice: run.notice }),
    adapter: gpu === undefined ? null : describeAdapter(gpu),
    node: process.version,
    operatingSystem: `${systemName()} ${release()} ${process.arch}`,
    cpu: { model: cpus()[0]?.model.trim() ?? 'unknown', cores: Math.max(1, cpus().length) },
    memoryBytes: totalmem(),
    packages: packageVersions(),
    commit: commit(),
  };
}

/** Versions of our packages and of Dawn, as this workspace resolves them. */
export function packageVersions(): Record<string, string> {
  const manifest = JSON.parse(readFileSync(`${packageRoot}package.json`, 'utf8')) as PackageManifest;
  const versions: Record<string, string> = { [manifest.name]: manifest.version };
  for (const name of Object.keys(manifest.dependencies ?? {})) {
    if (!name.startsWith('@saccade/') && name !== 'webgpu') continue;
    const path = require.resolve
      .paths(name)
      ?.map((folder) => `${folder}/${name}/package.json`)
      .find((candidate) => readIfThere(candidate) !== undefined);
    if (path !== undefined) versions[name] = (JSON.parse(readFileSync(path, 'utf8')) as PackageManifest).version;
  }
  return versions;
}

interface PackageManifest {
  readonly name: string;
  readonly version: string;
  readonly dependencies?: Readonly<Record<string, string>>;
}

function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}

/** Commit of the working tree, `+` behind it if files differ; null outside a repository. */
export function commit(): string | null {
  try {
    const git = (...args: string[]) =>
      execFileSync('git', args, { cwd: packageRoot, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
    return `${git('rev-parse', '--short=12', 'HEAD')}${git('status', '--porcelain') === '' ? '' : '+'}`;
  } catch {
    return null;
  }
}
