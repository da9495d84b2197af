import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { chromiumForTests } from '@saccade/chromium';
import type { Browser } from 'playwright-core';
import { build } from 'vite';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { workspace } from '../src/pack.ts';
import { openServedPage } from '../src/served-page.ts';
import { installedPackages, type Packed } from './packed.ts';

/* The packed packages in a browser, bundled and not. They are built before the tests run (`npm test`, `pnpm build`). */
const chromium = await chromiumForTests();
const skipped = chromium.missing ? ` (skipped: ${chromium.missing})` : '';

/** What `fixtures/page.js` tells. */
interface Told {
  readonly first: number[];
  readonly firstValue: number[];
  readonly texts: string[];
}

describe.skipIf(chromium.missing)(`the packed packages in Chromium${skipped}`, () => {
  let packed: Packed;
  let browser: Browser;

  beforeAll(async () => {
    packed = await installedPackages();
    browser = await chromium.launch();
  }, 300_000);

  afterAll(async () => browser?.close());

  it('bundled by Vite: attention, and the shipped model dense and with a method', async () => {
    const root = join(packed.consumer, 'page');
    mkdirSync(root);
    writeFileSync(join(root, 'index.html'), '<!doctype html><script type="module" src="./page.js"></script>');
    const fixture = new URL('../fixtures/page.js', import.meta.url);
    writeFileSync(join(root, 'page.js'), readFileSync(fixture));
    const built = await build({ root, configFile: false, logLevel: 'error', build: { target: 'es2022' } });
    const { output } = built as { output: { type: string; moduleIds?: string[] }[] };
    const modules = output.flatMap(({ moduleIds = [] }) => moduleIds);
    expect(modules.some((id) => id.includes('provider.web'))).toBe(true);
    expect(modules.filter((id) => /node_modules\/webgpu\/|provider\.node|platform\.node/.test(id))).toEqual([]);

    const page = await openServedPage(browser, join(root, 'dist'));
    await page.waitForFunction(() => 'run' in globalThis);
    const { first, firstValue, texts } = await page.evaluate(() =>
      (globalThis as unknown as { run(): Promise<Told> }).run(),
    );
    // The first query sees the first key alone.
    for (const [index, value] of firstValue.entries()) expect(first[index]).toBeCloseTo(value, 5);
    const [dense, few, all] = texts;
    expect(dense).toMatch(/[a-z ]{8}/);
    expect(all).toBe(dense);
    expect(few).toHaveLength(dense?.length ?? 0);
  }, 240_000);

  it('without a bundler: the page of the guide, with the packed files in place of the CDN', async () => {
    const guide = readFileSync(join(workspace, 'docs', 'guides', 'without-a-bundler.md'), 'utf8');
    const html = /```html\n([\s\S]*?)```/.exec(guide)?.[1] ?? '';
    expect(html.trim().split('\n').length).toBeLessThanOrEqual(20);
    const cdn = 'https://cdn.jsdelivr.net/npm/';
    expect(html).toContain(cdn);
    const page = await openServedPage(browser, join(packed.consumer, 'node_modules'), {
      'index.html': html.replaceAll(cdn, '/'),
    });
    await page.waitForFunction(() => document.querySelector('#out')?.textContent !== 'computing');
    // As text: Vitest rewrites imports in functions.
    const expected = await page.evaluate(`(async (core) => {
      const { openGpu, randomNormal } = await import(core);
      const values = await randomNormal(await openGpu(), [1, 4, 512, 64], { seed: 3 }).read();
      return [...values.slice(0, 4)].map((x) => x.toFixed(4)).join(' ');
    })('@saccade/core')`);
    expect(await page.textContent('#out')).toBe(expected);
  }, 120_000);
});
