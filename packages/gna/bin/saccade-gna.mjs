#!/usr/bin/env node
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

// In the workspace the TypeScript source runs as it is; in the published package, what was built from it.
if (existsSync(new URL('../../../pnpm-workspace.yaml', import.meta.url))) {
  const cli = fileURLToPath(new URL('../src/cli.ts', import.meta.url));
  const args = ['--conditions=@saccade/source', '--import', 'tsx', cli, ...process.argv.slice(2)];
  process.exitCode = spawnSync(process.execPath, args, { stdio: 'inherit' }).status ?? 1;
} else {
  await import('../dist/cli.js');
}
