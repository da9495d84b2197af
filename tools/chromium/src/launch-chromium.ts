import { type Browser, chromium } from 'playwright-core';
import { type ChromiumProgram, findChromium } from './find-chromium.ts';

/** Flags with which Chromium gives WebGPU without a display and without a GPU; as root it refuses its sandbox. */
export const chromiumFlags: readonly string[] = [
  '--enable-unsafe-webgpu',
  '--use-webgpu-adapter=swiftshader',
  '--enable-features=Vulkan',
  '--no-sandbox',
];

/** How a browser is started. */
export interface LaunchOptions {
  /** False starts it without WebGPU: `navigator.gpu` is missing. Default true. */
  readonly webGpu?: boolean;
  /** A program that was found before; by default the one of {@link findChromium}. */
  readonly program?: ChromiumProgram;
}

/**
 * Starts Chromium headless; the caller closes it. WebGPU needs a secure context: a page from localhost has it.
 *
 * @throws ChromiumMissingError
 */
export async function launchChromium({ webGpu = true, program }: LaunchOptions = {}): Promise<Browser> {
  const { path, variables } = program ?? (await findChromium());
  return chromium.launch({
    executablePath: path,
    headless: true,
    args: webGpu ? [...chromiumFlags] : ['--disable-features=WebGPU,WebGPUService', '--disable-gpu', '--no-sandbox'],
    env: { ...inheritedVariables(), ...variables },
    timeout: 60_000,
  });
}

/** Without the Vulkan driver that tests in Node use: the browser brings its own. */
function inheritedVariables(): Record<string, string> {
  const defined = Object.entries(process.env).filter((entry): entry is [string, string] => entry[1] !== undefined);
  return Object.fromEntries(defined.filter(([name]) => !name.startsWith('VK_')));
}
