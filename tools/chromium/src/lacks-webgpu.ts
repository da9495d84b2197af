import type { Browser } from 'playwright-core';
import type { ChromiumProgram } from './find-chromium.ts';
import { launchChromium } from './launch-chromium.ts';

/** Why a browser cannot run the tests, or undefined: it is started and asked for an adapter. */
export async function lacksWebGpu(program: ChromiumProgram): Promise<string | undefined> {
  let browser: Browser | undefined;
  try {
    browser = await launchChromium({ program });
    const page = await browser.newPage();
    const address = 'http://localhost/';
    await page.route('**', (route) => route.fulfill({ contentType: 'text/html', body: '<!doctype html>' }));
    await page.goto(address);
    const adapter = await page.evaluate(async () => Boolean(await navigator.gpu?.requestAdapter()));
    return adapter ? undefined : 'starts, and gives no WebGPU adapter';
  } catch (error) {
    return `does not start (${reasonOf(error)})`;
  } finally {
    await browser?.close();
  }
}

/** The line of a failed start that says why; Playwright prints its call log around it. */
function reasonOf(error: unknown): string {
  const lines = (error instanceof Error ? error.message : String(error)).split('\n').map((line) => line.trim());
  return lines.find((line) => /error while loading|cannot open|ENOENT|EACCES/.test(line)) ?? lines[0] ?? '';
}
