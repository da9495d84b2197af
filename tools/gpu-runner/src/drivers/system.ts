import { existsSync, readFileSync } from 'node:fs';
import { DriverSetupError } from '../errors.ts';
import type { Log } from '../log.ts';
import { readDistribution } from './apt-sources.ts';
import { capture } from './command.ts';
import { driverPackages } from './lavapipe.ts';

/**
 * Installs Mesa's Vulkan drivers and the loader for the whole machine with apt, in the release that the machine uses.
 *
 * @throws DriverSetupError where this is not root on a system with apt, or apt fails.
 */
export async function installSystemDriver(log: Log): Promise<void> {
  if (process.getuid?.() !== 0)
    throw new DriverSetupError('--system installs with apt: run it as root, or without --system.');
  const { codename } = readDistribution(existsSync('/etc/os-release') ? readFileSync('/etc/os-release', 'utf8') : '');
  const backports = `${codename}-backports`;
  log('apt-get update');
  await capture('apt-get', ['update']);
  const policy = await capture('apt-cache', ['policy', 'mesa-vulkan-drivers']);
  const target = policy.includes(backports) ? ['--target-release', backports] : [];
  const args = ['install', '--yes', '--no-install-recommends', ...target, ...driverPackages];
  log(`apt-get ${args.join(' ')}`);
  await capture('apt-get', args, { env: { DEBIAN_FRONTEND: 'noninteractive' } });
}
