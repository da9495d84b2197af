#!/usr/bin/env node
import { existsSync } from 'node:fs';

// In the workspace the TypeScript source runs as it is; in the published package, what was built from it.
const inWorkspace = existsSync(new URL('../../../pnpm-workspace.yaml', import.meta.url));
if (inWorkspace) {
  const { register } = await import('tsx/esm/api');
  register();
  await import('../src/cli.ts');
} else {
  await import('../dist/cli.js');
}
