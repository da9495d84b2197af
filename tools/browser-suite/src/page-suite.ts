import { readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import type { PageResult } from '../page/run-file.ts';
import { bundleSuite } from './bundle-suite.ts';

/** Test files in a page. */
export interface PageSuite {
  /** Runs the tests of a file whose names fit. @throws Error where the file itself fails, or the page has gone */
  run(file: string, names: RegExp): Promise<readonly PageResult[]>;
}

/**
 * Opens a page that runs test files of a folder, with Vitest's runner and matchers. Requests are answered from memory, files
 * beside the tests from the disk.
 *
 * @param browser that the caller closes
 * @param files names of test files
 * @param testTimeout in milliseconds
 */
export async function openPageSuite(
  browser: Browser,
  folder: string,
  files: readonly string[],
  testTimeout: number,
): Promise<PageSuite> {
  const modules = await bundleSuite(files.map((file) => join(folder, file)));
  const page = await browser.newPage();
  await page.route('**', async (route) => {
    const path = new URL(route.request().url()).pathname.slice(1);
    const code = modules.get(path);
    if (path === '') await route.fulfill({ contentType: 'text/html', body: '<!doctype html>' });
    else if (code) await route.fulfill({ contentType: 'text/javascript', body: Buffer.from(code) });
    else await route.fulfill(await besideTests(folder, path));
  });
  await page.goto('http://localhost/');
  await page.addScriptTag({ type: 'module', url: '/run-file.js' });
  await page.waitForFunction(() => 'runFile' in globalThis);
  return { run: (file, names) => runFile(page, file, names, testTimeout) };
}

async function besideTests(folder: string, path: string): Promise<{ status: number; body?: Buffer }> {
  if (!/^golden\/[\w-]+\.safetensors$/.test(path)) return { status: 404 };
  return { status: 200, body: await readFile(join(folder, path)) };
}

type RunFile = (address: string, names: string, testTimeout: number) => Promise<PageResult[]>;

function runFile(page: Page, file: string, names: RegExp, testTimeout: number): Promise<PageResult[]> {
  const address = `/${basename(file).replace(/\.ts$/, '.js')}`;
  return page.evaluate(
    ([path, pattern, timeout]) => (globalThis as unknown as { runFile: RunFile }).runFile(path, pattern, timeout),
    [address, names.source, testTimeout] as const,
  );
}
