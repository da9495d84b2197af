import { copyFileSync, readdirSync, realpathSync } from 'node:fs';
import { basename, join } from 'node:path';
import { DriverSetupError } from '../errors.ts';
import type { Log } from '../log.ts';
import { driverPackages, machineDriverSources, writeAptConfiguration } from './apt-configuration.ts';
import { capture } from './command.ts';
import { neededLibraries } from './libraries.ts';
import { installUnpackedDriver, type UnpackedDriver } from './unpacked-driver.ts';

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
  if (process.platform !== 'linux') {
    throw new DriverSetupError(`lavapipe is unpacked on Linux only, this is ${process.platform}`);
  }
  const found = machineDriverSources();
  return installUnpackedDriver('lavapipe', async ({ libraries, scratch }) => {
    const configuration = writeAptConfiguration(scratch, found.sources, 'own state');
    const apt = (...args: string[]) => capture('apt-get', [...args, ...configuration]);
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
