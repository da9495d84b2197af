import { spawnSync } from 'node:child_process';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';

const bin = fileURLToPath(new URL('../bin/saccade-gpu.mjs', import.meta.url));
const webgpu = import.meta.resolve('webgpu');
const folder = mkdtempSync(join(tmpdir(), 'saccade-run-'));

function saccadeGpu(args: readonly string[], variables: Readonly<Record<string, string>> = {}) {
  const env = { ...process.env, ...variables };
  const { status, stdout, stderr } = spawnSync(process.execPath, [bin, ...args], {
    env,
    encoding: 'utf8',
    timeout: 60_000,
  });
  return { status, stdout, stderr };
}

function script(name: string, source: string): string {
  const file = join(folder, name);
  writeFileSync(file, source);
  return file;
}

it('reports the adapter, its features and limits as JSON', () => {
  const { status, stdout } = saccadeGpu(['info', '--json']);
  expect(status).toBe(0);
  const info = JSON.parse(stdout);
  expect(info.adapter.kind).toMatch(/^(hardware|lavapipe|swiftshader|software)$/);
  expect(info.adapter.features).toContain('core-features-and-limits');
  expect(info.adapter.limits.maxStorageBufferBindingSize).toBeGreaterThanOrEqual(2 ** 27);
  expect(info.fingerprint).toMatch(/^[0-9a-f]{16}$/);
});

it('runs TypeScript that opens a device, ends by itself and keeps stderr clean', () => {
  const file = script(
    'open.mts',
    `import { create } from '${webgpu}';
    const adapter: GPUAdapter | null = await create([]).requestAdapter();
    const device = await adapter!.requestDevice();
    device.lost.then(() => undefined);
    Object.assign(globalThis, { device });
    console.log('opened', process.argv[2], process.argv[3]);
    console.error('own line');`,
  );
  expect(saccadeGpu(['run', file, '--flag', 'value'])).toEqual({
    status: 0,
    stdout: 'opened --flag value\n',
    stderr: 'own line\n',
  });
});

it("passes on the script's exit code", () => {
  expect(saccadeGpu(['run', script('exit.mts', 'process.exit(7);')]).status).toBe(7);
});

it('shows the line of the TypeScript source where a script throws', () => {
  const file = script(
    'throw.mts',
    'interface Wide {\n  a: number;\n}\nconst wide: Wide = { a: 1 };\n\nthrow new Error(String(wide.a));\n',
  );
  const { status, stderr } = saccadeGpu(['run', file]);
  expect(status).toBe(1);
  expect(stderr).toContain('throw.mts:6');
  expect(stderr).toContain('Error: 1');
});

it('says what was tried and what to do where no adapter fits', () => {
  const { status, stderr } = saccadeGpu(['info'], { SACCADE_ADAPTER: 'Imaginary 9000' });
  expect(status).toBe(1);
  expect(stderr).toContain('No WebGPU adapter that fits SACCADE_ADAPTER=Imaginary 9000');
  expect(stderr).toContain('unset SACCADE_ADAPTER');
});

it('finds the present adapter again by a part of its name, whatever the case', () => {
  const { adapter } = JSON.parse(saccadeGpu(['info', '--json']).stdout);
  const part = adapter.description.split(/[ :(]/)[0].toUpperCase();
  const again = saccadeGpu(['info', '--json'], { SACCADE_ADAPTER: part });
  expect(again.status, again.stderr).toBe(0);
  expect(JSON.parse(again.stdout).adapter.description).toBe(adapter.description);
});
