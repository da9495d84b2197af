import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { sharedGpu } from '@saccade/core/testing';
import { expect, it } from 'vitest';

const root = fileURLToPath(new URL('../../../', import.meta.url));

/** Runs a file of the workspace with SwiftShader asked for, and nothing of the driver that this process was started with. */
function onSwiftShader(args: readonly string[]): Promise<{ status: number | null; output: string }> {
  const ours = /^(VK_|LD_LIBRARY_PATH|MESA_|SACCADE_ADAPTER|VITEST|NODE_OPTIONS|TEST$|NODE_ENV)/;
  const inherited = Object.entries(process.env).filter(([name]) => !ours.test(name));
  const env = { ...Object.fromEntries(inherited), SACCADE_ADAPTER: 'swiftshader' };
  const child = spawn(process.execPath, args, { cwd: root, env });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk: Buffer) => {
      output += chunk.toString();
    });
  }
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (status) => resolve({ status, output }));
  });
}

it('the smoke tests pass on SwiftShader', async (context) => {
  const { adapter } = await sharedGpu();
  if (/swiftshader/i.test(adapter.device)) context.skip('all tests run on SwiftShader already');
  const setUp = await onSwiftShader(['tools/gpu-runner/bin/saccade-gpu.mjs', 'setup']);
  if (setUp.status !== 0) context.skip(`SwiftShader cannot be set up here:\n${setUp.output}`);
  const run = await onSwiftShader(['node_modules/vitest/vitest.mjs', 'run', '--project=models:gpu', 'smoke.gpu']);
  expect(run.status, run.output).toBe(0);
  expect(run.output).toMatch(/\n15 passed, 0 failed, 0 skipped/);
}, 120_000);
