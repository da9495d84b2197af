import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { sampleFile } from './sample-file.ts';

const bin = fileURLToPath(new URL('../bin/saccade-bench.mjs', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'saccade-bench-cli-'));
writeFileSync(join(folder, 'good.json'), JSON.stringify(sampleFile()));
writeFileSync(join(folder, 'bad.json'), JSON.stringify({ ...sampleFile(), schema: 'other' }));
writeFileSync(join(folder, 'text.json'), 'no JSON');
afterAll(() => rmSync(folder, { recursive: true }));

/** Starts the real command in `folder`, with nothing of npm's environment unless given, and no way to a GPU. */
function cli(args: readonly string[], environment: NodeJS.ProcessEnv = {}, cwd = folder) {
  const ours = /^(npm_|INIT_CWD|VK_|LD_LIBRARY_PATH|SACCADE_)/;
  const inherited = Object.entries(process.env).filter(([name]) => !ours.test(name));
  const env = { ...Object.fromEntries(inherited), VK_DRIVER_FILES: '/nonexistent', ...environment };
  const child = spawn(process.execPath, [bin, ...args], { cwd, env });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (chunk: Buffer) => {
    stdout += chunk.toString();
  });
  child.stderr.on('data', (chunk: Buffer) => {
    stderr += chunk.toString();
  });
  return new Promise<{ status: number | null; stdout: string; stderr: string }>((resolve) => {
    child.on('close', (status) => resolve({ status, stdout, stderr }));
  });
}

// Each command is a process that compiles the workspace; on a loaded machine they wait for one another.
describe.concurrent('saccade-bench', { timeout: 180_000 }, () => {
  it('lists what there is, without a GPU', async () => {
    const text = await cli(['list']);
    expect(text).toMatchObject({ status: 0, stderr: '' });
    expect(text.stdout).toContain('dense');
    const json = await cli(['list', '--json']);
    expect(json.status).toBe(0);
    const listing = JSON.parse(json.stdout) as Record<string, { name: string }[]>;
    expect(Object.keys(listing)).toEqual(['scenarios', 'methods', 'models']);
    expect(listing.methods?.[0]?.name).toBe('dense');
  });

  it('prints help and ends well', async () => {
    const help = await cli(['run', '--help']);
    expect(help.status).toBe(0);
    for (const option of [
      '--model',
      '--method',
      '--budget',
      '--lengths',
      '--seed',
      '--repeats',
      '--adapter',
      '--quick',
    ]) {
      expect(help.stdout).toContain(option);
    }
  });

  it.each<[string[], RegExp]>([
    [[], /Usage/],
    [['rum'], /Did you mean run/],
    [['run'], /missing required argument/],
    [['run', 'language/nothing-like-it'], /no scenario "language\/nothing-like-it"/],
    [['run', 'x/y', '--budget', '0'], /over 0 and up to 1/],
    [['run', 'x/y', '--budget', '0.1,'], /over 0 and up to 1/],
    [['run', 'x/y', '--lengths', '1e3'], /integers >= 1/],
    [['run', 'x/y', '--seed', '-1'], /integer >= 0/],
    [['run', 'x/y', '--repeats', '0'], /integer >= 1/],
    [['run', 'x/y', '--quik'], /Did you mean --quick/],
    [['peers', '--peer', 'jaxjs'], /no engine 'jaxjs'.*jax-js/],
    [['report', 'good.json'], /--html OUT/],
    [['report', 'bad.json', '--html', 'o.html'], /not a valid saccade-bench\/1/],
    [['report', 'text.json', '--html', 'o.html'], /not JSON/],
    [['report', 'nowhere.json', '--html', 'o.html'], /cannot be read/],
  ])('calls %j wrong use', async (args, message) => {
    const { status, stdout, stderr } = await cli(args);
    expect(stderr).toMatch(message);
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' });
    expect(stderr).not.toMatch(/\n\s+at /);
    expect(existsSync(join(folder, 'o.html'))).toBe(false);
  });

  it('writes reports beside the caller', async () => {
    expect((await cli(['report', 'good.json', '--html', 'out/page.html', '--markdown', 'page.md'])).status).toBe(0);
    expect(readFileSync(join(folder, 'out', 'page.html'), 'utf8')).toContain('Accuracy against budget');
    expect(readFileSync(join(folder, 'page.md'), 'utf8')).toContain('| token-list');
  });

  it("takes relative paths as those of npm's caller when npm started it, and only then", async () => {
    const root = mkdtempSync(join(tmpdir(), 'saccade-bench-root-'));
    const npm = { INIT_CWD: folder, npm_package_json: join(root, 'package.json') };
    expect((await cli(['report', 'good.json', '--markdown', 'by-npm.md'], npm, root)).status).toBe(0);
    expect(existsSync(join(folder, 'by-npm.md'))).toBe(true);
    const elsewhere = { ...npm, INIT_CWD: root, npm_package_json: join(root, 'other', 'package.json') };
    expect((await cli(['report', 'good.json', '--markdown', 'direct.md'], elsewhere)).status).toBe(0);
    expect(existsSync(join(folder, 'direct.md'))).toBe(true);
    rmSync(root, { recursive: true });
  });
});
