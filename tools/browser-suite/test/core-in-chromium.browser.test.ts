import { fileURLToPath } from 'node:url';
import { chromiumForTests } from '@saccade/chromium';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openPageSuite, type PageSuite } from '../src/page-suite.ts';
import { tests } from './selection.ts';

/*
 * The core's own tests in Chromium, so that browser and Node stay equal. Not all of them: its software adapter takes seconds to
 * compile what Mesa's takes milliseconds for.
 */
const chromium = await chromiumForTests();
const skipped = chromium.missing ? ` (skipped: ${chromium.missing})` : '';
const folder = fileURLToPath(new URL('../../../packages/core/test/', import.meta.url));
const testTimeout = 60_000;

describe.skipIf(chromium.missing)(`the core in Chromium${skipped}`, () => {
  let browser: Browser;
  let suite: PageSuite;

  beforeAll(async () => {
    browser = await chromium.launch();
    suite = await openPageSuite(
      browser,
      folder,
      tests.map(({ file }) => file),
      testTimeout,
    );
  }, 120_000);

  afterAll(async () => browser?.close());

  it.each(tests)(
    '$what: $file',
    async ({ file, names, least }) => {
      const results = await suite.run(file, names);
      const ran = results.filter(({ state }) => state !== 'skip');
      expect(ran.filter(({ state }) => state === 'fail')).toEqual([]);
      // A test that is renamed must not leave the selection unseen.
      expect(ran.length).toBeGreaterThanOrEqual(least);
    },
    2 * testTimeout,
  );
});
