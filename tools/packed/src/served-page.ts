import { existsSync, readFileSync } from 'node:fs';
import { extname, join, normalize } from 'node:path';
import type { Browser, Page } from 'playwright-core';

const types: Readonly<Record<string, string>> = {
  '.html': 'text/html',
  '.js': 'text/javascript',
  '.mjs': 'text/javascript',
  '.json': 'application/json',
};

/**
 * Opens a page of this machine's own: files of a folder, and texts that stand in their place.
 *
 * @param folder whose files are served at `http://localhost/`
 * @param texts by path, such as `index.html`
 */
export async function openServedPage(
  browser: Browser,
  folder: string,
  texts: Readonly<Record<string, string>> = {},
): Promise<Page> {
  const page = await browser.newPage();
  await page.route('**', async (route) => {
    const { hostname, pathname } = new URL(route.request().url());
    const path = normalize(decodeURIComponent(pathname)).slice(1) || 'index.html';
    const file = join(folder, path);
    const contentType = types[extname(path)] ?? 'application/octet-stream';
    if (hostname !== 'localhost') await route.abort();
    else if (texts[path] !== undefined) await route.fulfill({ contentType, body: texts[path] });
    else if (existsSync(file)) await route.fulfill({ contentType, body: readFileSync(file) });
    else await route.fulfill({ status: 404 });
  });
  await page.goto('http://localhost/');
  return page;
}
