import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, realpathSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { DriverSetupError } from '../errors.ts';
import type { Log } from '../log.ts';
import { driverSources, readAptSources, readDistribution, sourceLine } from './apt-sources.ts';
import { capture } from './command.ts';
import { neededLibraries } from './libraries.ts';
import { installUnpackedDriver, type UnpackedDriver } from './unpacked-driver.ts';

/** Mesa's Vulkan drivers and the Vulkan loader. */
export const driverPackages = ['mesa-vulkan-drivers', 'libvulkan1'];

const driverLibrary = 'libvulkan_lvp.so';
const loaderLibrary = 'libvulkan.so.1';

/** The C and C++ runtimes are the machine's own: a second copy in one process would break it. */
const runtimePackages = /^(?:libc6|libc-bin|libgcc-s1|libstdc\+\+6|libcrypt1|gcc-\d+-base)_/;

/**
 * Unpacks Mesa's lavapipe, the Vulkan loader and the libraries that this machine lacks into the cache folder: apt
 * downloads them with sources, lists and cache of its own, so neither root nor the machine's package state is touched.
 *
 * @throws DriverSetupError where the machine has no apt with usable sources, or the download fails.
 */
export async function unpackLavapipe(log: Log): Promise<UnpackedDriver> {
  if (process.platform !== 'linux')
    throw new DriverSetupError(`lavapipe is unpacked on Linux only, this is ${process.platform}`);
  const release = '/etc/os-release';
  const distribution = readDistribution(existsSync(release) ? readFileSync(release, 'utf8') : '');
  const found = driverSources(distribution, readAptSources('/etc/apt'));
  if (!found) {
    const name = [distribution.id, distribution.codename].filter(Boolean).join(' ') || 'this system';
    throw new DriverSetupError(`${name} has no apt sources of a Debian or Ubuntu release`);
  }
  return installUnpackedDriver('lavapipe', async ({ libraries, scratch }) => {
    const configuration = writeAptConfiguration(scratch, found.sources.map(sourceLine));
    const apt = (...args: string[]) => capture('apt-get', args, { env: { APT_CONFIG: configuration } });
    log(`getting package lists of ${found.targetSuite} (into the cache folder, no root needed)`);
    await apt('update', '--error-on=any');
    log(`downloading ${driverPackages.join(', ')} and what they need (about 40 to 60 MB, once)`);
    await apt(
      ...['install', '--download-only', '--reinstall', '--yes', '--no-install-recommends'],
      ...['--target-release', found.targetSuite, ...driverPackages],
    );
    const archives = join(scratch, 'cache', 'archives');
    const packages = readdirSync(archives).filter((name) => name.endsWith('.deb'));
    const mesa = packages.find((name) => name.startsWith('mesa-vulkan-drivers_'));
    if (!mesa) throw new DriverSetupError('apt downloaded no mesa-vulkan-drivers');
    const unpacked = join(scratch, 'root');
    for (const name of packages.filter((candidate) => !runtimePackages.test(candidate))) {
      await capture('dpkg-deb', ['--extract', join(archives, name), unpacked]);
    }
    const collected = await neededLibraries(unpacked, [driverLibrary, loaderLibrary]);
    for (const [name, path] of collected) copyFileSync(realpathSync(path), join(libraries, name));
    log(`unpacked ${[...collected.keys()].sort().join(', ')}`);
    const version = decodeURIComponent(basename(mesa).split('_')[1] ?? '');
    return { version: `Mesa ${version}`, library: driverLibrary, apiVersion: '1.3.0' };
  });
}

/** Sources, state and cache of apt inside `folder`; only the list of installed packages is the machine's. */
function writeAptConfiguration(folder: string, sources: readonly string[]): string {
  for (const path of ['lists/partial', 'state', 'cache/archives/partial'])
    mkdirSync(join(folder, path), { recursive: true });
  writeFileSync(join(folder, 'sources.list'), `${sources.join('\n')}\n`);
  const file = join(folder, 'apt.conf');
  const settings: Record<string, string> = {
    'Dir::Etc::sourcelist': join(folder, 'sources.list'),
    'Dir::Etc::sourceparts': '-',
    'Dir::State': join(folder, 'state'),
    'Dir::State::lists': join(folder, 'lists'),
    'Dir::State::status': '/var/lib/dpkg/status',
    'Dir::Cache': join(folder, 'cache'),
    'APT::Sandbox::User': '',
    'APT::Get::List-Cleanup': 'false',
    'Acquire::Languages': 'none',
    'Acquire::Retries': '2',
    'Debug::NoLocking': 'true',
  };
  const lines = Object.entries(settings).map(([name, value]) => `${name} "${value}";`);
  writeFileSync(file, `${lines.join('\n')}\n`);
  return file;
}
