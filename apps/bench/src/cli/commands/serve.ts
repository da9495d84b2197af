import { servePage } from '../../page/build.ts';
import type { CliContext, ExitCode } from '../program.ts';

/** Serves the bench as a web page until it is stopped. */
export async function serveCommand(
  { signal }: CliContext,
  flags: { readonly port: number; readonly host?: string },
): Promise<ExitCode> {
  console.log('Bundling the page ...');
  const page = await servePage(flags);
  console.log(`The bench is at ${page.url}\nOpen it in a browser with WebGPU. Ctrl+C stops it.`);
  await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
  await page.close();
  return 0;
}
