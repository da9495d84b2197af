import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { ChromiumMissingError, findChromium } from '../src/index.ts';
import { installedBrowsers } from '../src/installed.ts';

function folder(): string {
  const made = mkdtempSync(join(tmpdir(), 'saccade-chromium-'));
  onTestFinished(() => rmSync(made, { recursive: true, force: true }));
  return made;
}

it('finds browsers by the folders of PATH', () => {
  const [first, second] = [folder(), folder()];
  const path = join(second, 'google-chrome');
  writeFileSync(path, '');
  expect(installedBrowsers({ PATH: `${first}:${second}` })).toContain(path);
});

it('takes CHROME_PATH at its word: nothing else is tried', async () => {
  const path = join(folder(), 'chrome');
  await expect(findChromium({ ...process.env, CHROME_PATH: path })).rejects.toThrow(
    `no Chromium with WebGPU was found (CHROME_PATH=${path}: there is no such file). Install one`,
  );
  writeFileSync(path, '#!/bin/sh\nexit 3\n', { mode: 0o755 });
  const error = await findChromium({ ...process.env, CHROME_PATH: path }).catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(ChromiumMissingError);
  expect((error as Error).message).toMatch(/CHROME_PATH=.*: does not start/);
});
