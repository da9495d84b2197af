import { existsSync } from 'node:fs';

const places = [
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome',
  '/opt/google/chrome/chrome',
  '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
  'C:\\Program Files\\Google\\Chrome\\Application\\chrome.exe',
];

/** Flags with which Chromium gives WebGPU without a display and without a GPU. */
export const chromiumFlags: readonly string[] = [
  '--enable-unsafe-webgpu',
  '--use-webgpu-adapter=swiftshader',
  '--enable-features=Vulkan',
  '--no-sandbox',
];

/** The browser of the tests: `CHROME_PATH`, or an installed one; undefined where there is none. */
export function chromiumPath(): string | undefined {
  const asked = process.env.CHROME_PATH;
  return [...(asked ? [asked] : []), ...places].find((place) => existsSync(place));
}
