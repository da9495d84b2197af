import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { workspacePackages } from '@saccade/lint/workspace-package';
import { workspace } from './pack.ts';
import { type LocalRegistry, startRegistry } from './registry.ts';
import { mustRun } from './run.ts';

/*
 * A release from beginning to end in a copy of the last commit, with a registry of its own: version, build, publish, install
 * and run as a user does; then a minor of core, which must leave the methods as they are. Changes nothing here or anywhere.
 */
const folder = mkdtempSync(join(tmpdir(), 'saccade-rehearsal-'));
const copy = join(folder, 'workspace');
let registry: LocalRegistry | undefined;
try {
  say('a copy of the last commit');
  await mustRun('git', ['clone', '--quiet', '--no-hardlinks', workspace, copy], folder);
  const pnpm = join(workspace, 'node_modules', '.bin', 'pnpm');
  await mustRun(pnpm, ['install', '--frozen-lockfile', '--prefer-offline'], copy);
  mkdirSync(join(folder, 'registry'));
  registry = await startRegistry(join(folder, 'registry'));
  const environment = environmentOf(registry);

  const before = versions();
  await release('the first release', environment);
  const first = versions();
  for (const [name, version] of first) say(`  ${name} ${before.get(name)} -> ${version}`);
  await install(first, environment, 'consumer');

  const minor = "---\n'@saccade/core': minor\n---\n\nA rehearsed minor.\n";
  writeFileSync(join(copy, '.changeset', 'rehearsed-minor.md'), minor);
  await release('a minor of core', environment);
  const second = versions();
  const moved = [...second].filter(([name, version]) => first.get(name) !== version).map(([name]) => name);
  say(`  moved: ${moved.join(', ')}`);
  const majors = moved.filter((name) => major(first.get(name)) !== major(second.get(name)));
  if (!moved.includes('@saccade/core') || majors.length > 0)
    throw new Error(`a minor of core moved ${moved.join(', ')}; majors: ${majors.join(', ') || 'none'}`);
  await install(second, environment, 'consumer-of-the-minor');
  say('the rehearsal passed');
} finally {
  registry?.stop();
  rmSync(folder, { recursive: true, force: true });
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

function versions(): Map<string, string> {
  const published = workspacePackages(copy).filter(({ manifest }) => manifest.private !== true);
  return new Map(
    published.map((owner) => [
      owner.manifest.name,
      (JSON.parse(readFileSync(join(owner.folder, 'package.json'), 'utf8')) as { version: string }).version,
    ]),
  );
}

function major(version: string | undefined): string {
  return version?.split('.')[0] ?? '';
}

/**
 * The environment of programs that publish and install: a user configuration of their own whose only registry is the
 * local one, so that a rehearsal cannot reach a real one with the user's rights.
 */
function environmentOf({ url }: LocalRegistry): NodeJS.ProcessEnv {
  const userconfig = join(folder, 'npmrc');
  writeFileSync(userconfig, `registry=${url}\n${url.replace('http:', '')}:_authToken=rehearsal\n`);
  // npm sets variables for the scripts that it runs, which would win over a file.
  const inherited = Object.entries(process.env).filter(([name]) => !/^p?npm_/i.test(name));
  return {
    ...Object.fromEntries(inherited),
    npm_config_registry: url,
    npm_config_userconfig: userconfig,
    npm_config_provenance: 'false',
  };
}

async function release(what: string, environment: NodeJS.ProcessEnv): Promise<void> {
  say(`${what}: versions`);
  const changeset = join(copy, 'node_modules', '.bin', 'changeset');
  await mustRun(changeset, ['version'], copy);
  await mustRun(
    'git',
    ['-c', 'user.name=rehearsal', '-c', 'user.email=rehearsal@localhost', 'commit', '-qam', what],
    copy,
  );
  say(`${what}: build`);
  await mustRun(process.execPath, ['tools/bootstrap/turbo.mjs', 'run', 'build', '--output-logs=errors-only'], copy);
  say(`${what}: publish`);
  await mustRun(changeset, ['publish', '--no-git-tag'], copy, environment);
}

async function install(
  released: ReadonlyMap<string, string>,
  environment: NodeJS.ProcessEnv,
  name: string,
): Promise<void> {
  say(`install and run: ${name}`);
  const consumer = join(folder, name);
  mkdirSync(consumer);
  writeFileSync(join(consumer, 'package.json'), '{ "private": true, "type": "module" }\n');
  const use = fileURLToPath(new URL('../fixtures/use.mjs', import.meta.url));
  writeFileSync(join(consumer, 'use.mjs'), readFileSync(use, 'utf8'));
  await mustRun(
    'npm',
    ['install', '--no-audit', '--no-fund', '--loglevel=error', ...released.keys(), 'webgpu'],
    consumer,
    environment,
  );
  for (const [package_, version] of released) {
    const file = join(consumer, 'node_modules', package_, 'package.json');
    const installed = (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version;
    if (installed !== version) throw new Error(`${package_} is ${installed} there, ${version} was released`);
  }
  await mustRun('npm', ['ls', '--all'], consumer);
  const runner = join('node_modules', '@saccade', 'gpu-runner', 'bin', 'saccade-gpu.mjs');
  say(`  ${(await mustRun(process.execPath, [runner, 'run', 'use.mjs'], consumer)).trim()}`);
}
