import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { isSetUp, markSetUp } from './stamp.mjs';
import { turbo } from './turbo.mjs';
import { cacheFolder, root, runStep, StepFailed, say } from './workspace.mjs';

/**
 * Installs the dependencies and builds the packages, unless that has been done for the same lockfile and Node; then makes
 * sure that there is an adapter. Changes nothing outside the workspace and the user's cache folder.
 */
export async function setUp() {
  if (!isSetUp(root)) {
    await installDependencies();
    say('building the packages');
    const exitCode = await turbo(['run', 'build', '--output-logs=errors-only']);
    if (exitCode !== 0) throw new StepFailed('building the packages', exitCode);
    markSetUp(root);
  }
  const runner = join('tools', 'gpu-runner', 'bin', 'saccade-gpu.mjs');
  await runStep('looking for an adapter', process.execPath, [runner, 'setup']);
}

async function installDependencies() {
  const { packageManager } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  say(`installing dependencies with ${packageManager} (packages are kept in ${cacheFolder()})`);
  // Not the pnpm in node_modules: it would have to replace itself.
  await runStep(
    'installing dependencies',
    'npx',
    ['--yes', packageManager, 'install', '--frozen-lockfile', '--reporter=append-only'],
    { npm_config_cache: join(cacheFolder(), 'npm'), npm_config_update_notifier: 'false' },
  );
}
