import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DriverSetupError } from '../errors.ts';
import type { Log } from '../log.ts';
import { driverPackages, machineDriverSources, writeAptConfiguration } from './apt-configuration.ts';
import { capture } from './command.ts';

/**
 * Installs Mesa's Vulkan drivers and the loader for the whole machine with apt. The machine's sources stay as they are,
 * also where the packages come from backports.
 *
 * @throws DriverSetupError where this is not root on a system with apt, or apt fails.
 */
export async function installSystemDriver(log: Log): Promise<void> {
  if (process.getuid?.() !== 0) {
    throw new DriverSetupError('--system installs with apt: run it as root, or without --system.');
  }
  const { sources, targetSuite } = machineDriverSources();
  const scratch = mkdtempSync(join(tmpdir(), 'saccade-apt-'));
  try {
    const configuration = writeAptConfiguration(scratch, sources, 'machine state');
    log(`getting package lists of ${targetSuite}`);
    await capture('apt-get', ['update', '--error-on=any', ...configuration]);
    const args = ['install', '--yes', '--no-install-recommends', '--target-release', targetSuite, ...driverPackages];
    log(`apt-get ${args.join(' ')}`);
    await capture('apt-get', [...args, ...configuration], { env: { DEBIAN_FRONTEND: 'noninteractive' } });
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}
