import { readFileSync } from 'node:fs';
import { chromiumForTests } from '@saccade/chromium';
import { type Method, openGpu } from '@saccade/core';
import { loadTinyModel, persuasionBytes } from '@saccade/tiny-models';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { catalog } from '../src/catalog.ts';
import { type MethodRequest, variantsOf } from '../src/method-request.ts';
import { type ServedPage, servePage } from '../src/page/build.ts';
import { validateResultFile } from '../src/result-file/validate.ts';
import { sampleFile } from './sample-file.ts';

const chromium = await chromiumForTests();
const prompt = 'She had been forced into prudence in her youth, she ';
const tokens = 6;
/** Software renders, on whatever processor is left. */
const patient = { timeout: 100_000, interval: 200 };
const link = `#${new URLSearchParams([
  ['prompt', prompt],
  ['tokens', String(tokens)],
  ['attention', 'false'],
  ['method', 'tidaldecode@0.3:sparseLayerStart=1'],
  ['method', 'sinks-recent@0.3'],
])}`;

/** What Node writes with the same set-up: dense, and with both methods. */
async function nodeTexts(): Promise<string[]> {
  const gpu = await openGpu();
  const model = await loadTinyModel(gpu, persuasionBytes);
  const requests: MethodRequest[] = [
    { entry: catalog.method('tidaldecode'), given: { sparseLayerStart: 1 } },
    { entry: catalog.method('sinks-recent'), given: {} },
  ];
  const length = model.tokenizer.encode(prompt).length + tokens;
  const methods: (Method | undefined)[] = [
    undefined,
    ...requests.map((request) => variantsOf(request, [0.3], length)[0]?.create()),
  ];
  const texts: string[] = [];
  for (const method of methods) {
    let text = '';
    for await (const piece of model.generate(prompt, { method, maxTokens: tokens })) text += piece.text;
    texts.push(text);
  }
  model.dispose();
  gpu.dispose();
  return texts;
}

/** Adds up what moves by itself. */
function recordShifts(): void {
  const sum = globalThis as unknown as { shift: number };
  sum.shift = 0;
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries() as (PerformanceEntry & { value: number; hadRecentInput: boolean })[])
      sum.shift += entry.hadRecentInput ? 0 : entry.value;
  }).observe({ type: 'layout-shift', buffered: true });
}

/** Controls that a screen reader could not name. */
function namelessControls(): string[] {
  const controls = [...document.querySelectorAll<HTMLInputElement>('input, select, textarea, button')];
  const named = ({ ariaLabel, labels, textContent, tagName }: HTMLInputElement) =>
    Boolean(ariaLabel || labels?.length || (tagName === 'BUTTON' && textContent?.trim()));
  return controls.filter((control) => !named(control)).map(({ outerHTML }) => outerHTML);
}

/** A PNG file with a green square, in base64. */
function greenSquare(): string {
  const canvas = document.createElement('canvas');
  canvas.width = canvas.height = 128;
  const context = canvas.getContext('2d') as CanvasRenderingContext2D;
  context.fillStyle = '#101010';
  context.fillRect(0, 0, 128, 128);
  context.fillStyle = '#20b020';
  context.fillRect(40, 40, 26, 26);
  return canvas.toDataURL('image/png').split(',')[1] as string;
}

describe.skipIf(chromium.missing)(`the page${chromium.missing ? ` (skipped: ${chromium.missing})` : ''}`, () => {
  type Browser = Awaited<ReturnType<typeof chromium.launch>>;
  type Page = Awaited<ReturnType<Browser['newPage']>>;
  let served: ServedPage;
  let browser: Browser;
  beforeAll(async () => {
    served = await servePage({ port: 0 });
    browser = await chromium.launch();
  }, 120_000);
  afterAll(async () => {
    await browser?.close();
    await served?.close();
  });

  /** A page that is ready to run, and the addresses that it asked for. */
  async function opened(hash: string, from: Browser = browser) {
    const page = await from.newPage({ viewport: { width: 390, height: 844 } });
    page.setDefaultTimeout(60_000);
    await page.addInitScript(recordShifts);
    const requests: string[] = [];
    page.on('request', (request) => requests.push(request.url()));
    await page.goto(served.url + hash);
    const run = page.getByRole('button', { name: 'Run and compare' });
    return { page, requests, run };
  }

  /** The layout shift of a page so far, as Chromium counts it: what the user set off is left out. */
  const shiftOf = (page: Page) => page.evaluate(() => (globalThis as unknown as { shift: number }).shift);

  it('writes what Node writes, dense and with two methods; results are a file, and the link restores the set-up', async () => {
    const { page, requests, run } = await opened(link);
    await run.click();
    await expect.poll(() => page.getByTestId('row').count(), patient).toBe(3);
    const texts = await Promise.all([0, 1, 2].map((side) => page.getByTestId(`text-${side}`).textContent()));
    expect(texts).toEqual(await nodeTexts());
    expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(390);
    expect(await page.evaluate(namelessControls)).toEqual([]);
    // Nothing came from elsewhere.
    const foreign = requests.filter((url) => !url.startsWith(served.url) && !/^(data|blob):/.test(url));
    expect(foreign).toEqual([]);

    const saving = page.waitForEvent('download');
    await page.getByRole('button', { name: 'Download JSON' }).click();
    const file = validateResultFile(JSON.parse(readFileSync(await (await saving).path(), 'utf8')));
    expect(file.results.map(({ method }) => method)).toEqual(['dense', 'tidaldecode', 'sinks-recent']);
    expect(file.results[1]?.options).toMatchObject({ sparseLayerStart: 1 });
    expect(file.environment).toMatchObject({ node: null, browser: expect.stringContaining('Chrome') });

    await page.getByRole('button', { name: 'Copy a link to this set-up' }).click();
    await page.reload();
    expect(await page.getByTestId('prompt').inputValue()).toBe(prompt);
    expect(await page.getByTestId('method-0').locator('select').first().inputValue()).toBe('tidaldecode');
    expect(await page.getByTestId('method-0').locator('input[name=sparseLayerStart]').inputValue()).toBe('1');
    expect(await page.getByTestId('method-1').locator('select').first().inputValue()).toBe('sinks-recent');
    await page.close();
  }, 150_000);

  it('shows attention, stops when it is cancelled, and says that the GPU was lost', async () => {
    const { page, run } = await opened(`#prompt=It+was&tokens=2&method=tidaldecode%400.5`);
    await run.click();
    await expect.poll(() => page.getByTestId('row').count(), patient).toBe(2);
    const panel = page.getByTestId('attention');
    expect(await panel.locator('canvas').count()).toBe(2);
    // What the run showed had its place before.
    expect(await shiftOf(page)).toBeLessThan(0.1);
    // Two steps were recorded: the token behind the prompt, and the next.
    expect(await panel.locator('input[type=range]').getAttribute('max')).toBe('1');
    expect((await panel.locator('.tokens').first().textContent())?.startsWith('It was')).toBe(true);

    await page.getByLabel('Tokens', { exact: true }).fill('900');
    await page.getByLabel('Tokens', { exact: true }).blur();
    await run.click();
    await expect
      .poll(async () => (await page.getByTestId('text-0').textContent())?.length ?? 0, patient)
      .toBeGreaterThan(3);
    await page.getByRole('button', { name: 'Cancel' }).click();
    await run.waitFor();
    await page.locator('.action').getByText('Cancelled. What was measured before stays.').waitFor();
    expect(await page.getByTestId('row').count()).toBe(2);

    const session = await browser.newBrowserCDPSession();
    await session.send('Browser.crashGpuProcess');
    const alert = page.getByRole('alert');
    await alert.waitFor();
    expect(await alert.textContent()).toContain('The GPU device was lost');
    await page.getByRole('button', { name: 'Open the GPU again' }).click();
    await expect.poll(() => run.isEnabled(), patient).toBe(true);
    expect(await alert.count()).toBe(0);
    await page.close();
  }, 150_000);

  it('sees an example, an image of the user, and says which file is no image', async () => {
    const { page, run } = await opened('#model=scenes&tokens=2&attention=false&prompt=What+colour+is+the+square%3F');
    const caption = page.locator('.picture figcaption');
    expect(await caption.textContent()).toBe('example 1');
    const choose = page.locator('.picture input[type=file]');
    const square = Buffer.from(await page.evaluate(greenSquare), 'base64');
    await choose.setInputFiles({ name: 'square.png', mimeType: 'image/png', buffer: square });
    await expect.poll(() => caption.textContent(), patient).toBe('square.png');
    await choose.setInputFiles({ name: 'notes.png', mimeType: 'image/png', buffer: Buffer.from('no image') });
    await page.getByRole('alert').waitFor();
    expect(await page.getByRole('alert').textContent()).toContain('notes.png is no image');
    expect(await caption.textContent()).toBe('square.png');
    await run.click();
    await expect.poll(() => page.getByTestId('row').count(), patient).toBe(2);
    expect(await page.getByTestId('text-0').textContent()).toContain('green');
    await page.close();
  }, 150_000);

  it('says what to do where a model cannot be downloaded, or a dropped file is none', async () => {
    const { page, run } = await opened('#model=smollm2-135m-instruct');
    await page.route('https://**', (route) => route.abort());
    await run.click();
    const alert = page.getByRole('alert');
    await alert.waitFor();
    expect(await alert.textContent()).toMatch(/could not be downloaded.*Check the connection.*drop the model’s files/);

    await page.getByTestId('model').selectOption('files');
    const dropped = await page.evaluateHandle(() => {
      const transfer = new DataTransfer();
      transfer.items.add(new File(['GGUF, but no model'], 'broken.gguf'));
      return transfer;
    });
    await page.dispatchEvent('.drop', 'drop', { dataTransfer: dropped });
    await page.locator('.drop').getByText('broken.gguf').waitFor();
    await run.click();
    await alert.getByText('broken.gguf').waitFor();
    expect(await alert.textContent()).toContain('The model’s files cannot be read');
    expect(await run.isEnabled()).toBe(true);
    await page.close();
  }, 60_000);

  it('fills text in by masked diffusion with lists of blocks, and shows where it looked', async () => {
    const { page, run } = await opened('#model=persuasion-diffusion&prompt=Anne+was+&tokens=8&steps=3');
    await run.click();
    await expect.poll(() => page.getByTestId('row').count(), patient).toBe(2);
    expect(await page.getByTestId('row').last().textContent()).toMatch(/^sparsed.*ok/);
    // Dense, and with SparseD.
    expect(await page.getByTestId('attention').locator('canvas').count()).toBe(2);

    await page.getByTestId('method-0').locator('summary').click();
    const blockSize = page.getByTestId('method-0').locator('input[name=blockSize]');
    await blockSize.fill('0');
    await blockSize.blur();
    await expect.poll(() => run.isEnabled(), patient).toBe(false);
    await page.getByText('SparseD: option blockSize: got 0').waitFor();
    await page.close();
  }, 150_000);

  it('opens result files without WebGPU, and says what to do', async () => {
    const without = await chromium.launch({ webGpu: false });
    try {
      const { page, run } = await opened('', without);
      const alert = page.getByRole('alert');
      await alert.waitFor();
      expect(await alert.textContent()).toMatch(/This browser gives no WebGPU.*recent Chrome/);
      expect(await run.isEnabled()).toBe(false);
      const { y = -1, height = 0 } = (await alert.boundingBox()) ?? {};
      expect([y >= 0, y + height <= 844]).toEqual([true, true]);
      const content = Buffer.from(JSON.stringify(sampleFile()));
      const open = page.locator('.results input[type=file]');
      await open.setInputFiles({ name: 'earlier.json', mimeType: 'application/json', buffer: content });
      await expect.poll(() => page.getByTestId('row').count(), patient).toBe(sampleFile().results.length);
      await open.setInputFiles({ name: 'other.json', mimeType: 'application/json', buffer: Buffer.from('{}') });
      await expect.poll(() => alert.textContent(), patient).toContain('other.json is no result file');
    } finally {
      await without.close();
    }
  }, 60_000);
});
