import { openGpu } from '@saccade/core';
import { progressStream, startProgress } from '../../progress/progress.ts';
import { formatRate } from '../../report/format.ts';
import { describeEnvironment } from '../../result-file/environment.ts';
import { writeResultFile } from '../../result-file/read-write.ts';
import { measureRoofline, rooflineSteps } from '../../roofline/measure-roofline.ts';
import { onGpu } from '../gpu-stage.ts';
import type { CliContext, ExitCode } from '../program.ts';

/** Measures the adapter's own peaks and prints them. */
export async function rooflineCommand(
  context: CliContext,
  flags: { readonly adapter?: string; readonly json?: string },
): Promise<ExitCode> {
  return await onGpu(flags.adapter, async () => {
    const gpu = await openGpu();
    const progress = startProgress('roofline', progressStream());
    progress.total(rooflineSteps(gpu));
    const roofline = await measureRoofline(gpu, {
      signal: context.signal,
      onStep: (label) => progress.advance(1, label),
    });
    progress.finish();
    for (const { name, unit, value, description } of roofline.peaks) {
      const rate = typeof value === 'object' && 'median' in value ? value.median : Number.NaN;
      console.log(`${name}: ${formatRate(rate, unit)} (${description})`);
    }
    if (flags.json !== undefined) {
      const environment = describeEnvironment(gpu, { commandLine: context.commandLine, quick: false, leftOut: [] });
      writeResultFile(flags.json, { schema: 'saccade-bench/1', environment, results: [], roofline });
      console.error(`Wrote ${flags.json}`);
    }
    return 0;
  });
}
