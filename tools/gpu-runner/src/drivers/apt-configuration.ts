import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DriverSetupError } from '../errors.ts';
import {
  type AptSource,
  type DriverSources,
  driverSources,
  readAptSources,
  readDistribution,
  sourceLine,
} from './apt-sources.ts';

/** Mesa's Vulkan drivers and the Vulkan loader. */
export const driverPackages = ['mesa-vulkan-drivers', 'libvulkan1'];

/**
 * The archives of this machine's release that have a Mesa that Dawn accepts.
 *
 * @throws DriverSetupError where the machine has no apt sources of a Debian or Ubuntu release.
 */
export function machineDriverSources(): DriverSources {
  const release = '/etc/os-release';
  const distribution = readDistribution(existsSync(release) ? readFileSync(release, 'utf8') : '');
  const found = driverSources(distribution, readAptSources('/etc/apt'));
  if (found) return found;
  const name = [distribution.id, distribution.codename].filter(Boolean).join(' ') || 'this system';
  throw new DriverSetupError(`${name} has no apt sources of a Debian or Ubuntu release`);
}

/**
 * Writes a configuration for apt and returns the options that name it; they are read after the machine's own configuration,
 * so that its proxies count. Sources and package lists are in `folder`. With `own state`, so are state and archives, only
 * the machine's list of installed packages is read, and its hooks do not run; with `machine state` apt installs for the
 * whole machine.
 */
export function writeAptConfiguration(
  folder: string,
  sources: readonly AptSource[],
  state: 'own state' | 'machine state',
): string[] {
  for (const path of ['lists/partial', 'state', 'cache/archives/partial']) {
    mkdirSync(join(folder, path), { recursive: true });
  }
  writeFileSync(join(folder, 'sources.list'), sources.map((source) => `${sourceLine(source)}\n`).join(''));
  const settings: Record<string, string> = {
    'Dir::Etc::sourcelist': join(folder, 'sources.list'),
    'Dir::Etc::sourceparts': '-',
    ...(state === 'own state' && {
      'Dir::State': join(folder, 'state'),
      'Dir::State::status': '/var/lib/dpkg/status',
      'Dir::Cache': join(folder, 'cache'),
      'Debug::NoLocking': 'true',
    }),
    'Dir::State::lists': join(folder, 'lists'),
    'APT::Sandbox::User': '',
    'APT::Get::List-Cleanup': 'false',
    'Acquire::Languages': 'none',
    'Acquire::Retries': '2',
  };
  const hooks = ['Pre-Invoke', 'Post-Invoke', 'Post-Invoke-Success'].map((hook) => `#clear APT::Update::${hook};`);
  const lines = Object.entries(settings).map(([name, value]) => `${name} "${value}";`);
  const file = join(folder, 'apt.conf');
  writeFileSync(file, `${[...(state === 'own state' ? hooks : []), ...lines].join('\n')}\n`);
  return ['--config-file', file];
}
