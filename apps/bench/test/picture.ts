import { mkdirSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { chromiumForTests } from '@saccade/chromium';
import { servePage } from '../src/page/build.ts';

/*
 * The picture of the repository's README: the page after a real run in Chromium, as light and as dark themes show it.
 * npx pnpm --filter @saccade/bench picture
 */
const folder = fileURLToPath(new URL('../../../docs/pictures/', import.meta.url));
const setup = new URLSearchParams([
  ['tokens', '48'],
  ['method', 'tidaldecode@0.25'],
]);
const chromium = await chromiumForTests();
const served = await servePage({ port: 0 });
const browser = await chromium.launch();
try {
  const context = await browser.newContext({ viewport: { width: 1280, height: 1000 }, deviceScaleFactor: 1.5 });
  const page = await context.newPage();
  await page.goto(`${served.url}#${setup}`);
  await page.getByRole('button', { name: 'Run and compare' }).click();
  // The button comes back when both sides are measured.
  await page.getByTestId('row').nth(1).waitFor({ timeout: 300_000 });
  await page.getByRole('button', { name: 'Run and compare' }).waitFor({ timeout: 60_000 });
  mkdirSync(folder, { recursive: true });
  for (const colorScheme of ['light', 'dark'] as const) {
    await page.emulateMedia({ colorScheme });
    const boxes = [
      await page.getByRole('region', { name: 'Output' }).boundingBox(),
      await page.getByTestId('attention').boundingBox(),
    ];
    const [top, bottom] = boxes;
    if (!top || !bottom) throw new Error('The page shows no output.');
    const margin = 12;
    const clip = {
      x: top.x - margin,
      y: top.y - margin,
      width: top.width + 2 * margin,
      height: bottom.y + bottom.height - top.y + 2 * margin,
    };
    writeFileSync(`${folder}bench-${colorScheme}.png`, await page.screenshot({ clip }));
  }
} finally {
  await browser.close();
  await served.close();
}
