export { chromiumForTests, type TestChromium } from './chromium-for-tests.ts';
export { ChromiumMissingError } from './errors.ts';
export { type ChromiumProgram, type ChromiumSource, findChromium } from './find-chromium.ts';
export { chromiumFlags, type LaunchOptions, launchChromium } from './launch-chromium.ts';
