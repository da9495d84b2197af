import { openGpu } from '@saccade/core';
import { progressStream, startProgress } from '../../progress/progress.ts';
import { describePeak, formatPeakName, formatRate, spreadOf } from '../../report/format.ts';
import { describeEnvironment } from '../../result-file/environment.ts';
import { writeResultFile } from '../../result-file/read-write.ts';
import { measureRoofline } from '../../roofline/measure-roofline.ts';
import { fullSweep } from '../../roofline/sweep.ts';
import { UsageError } from '../../usage-error.ts';
import { onGpu } from '../gpu-stage.ts';
import type { CliContext, ExitCode } from '../program.ts';

/** Measures the adapter's own peaks over the full sweep and prints them. */
export async function rooflineCommand(
  context: CliContext,
  flags: { readonly adapter?: string; readonly peak: string; readonly seconds: number; readonly json?: string },
): Promise<ExitCode> {
  return await onGpu(flags.adapter, async () => {
    const gpu = await openGpu();
    const progress = startProgress('roofline', progressStream());
    const candidates = fullSweep(gpu, flags.peak);
    if (candidates.length === 0) throw new UsageError(`No peak's name contains '${flags.peak}'.`);
    progress.total(candidates.length);
    const roofline = await measureRoofline(gpu, candidates, {
      signal: context.signal,
      secondsPerPeak: flags.seconds,
      onStep: (label) => progress.advance(1, label),
    });
    progress.finish();
    for (const peak of roofline.peaks) {
      console.log(
        `${formatPeakName(peak)}: ${formatRate(spreadOf(peak.value).centre, peak.unit)} (${describePeak(peak)})`,
      );
    }
    if (flags.json !== undefined) {
      const environment = describeEnvironment(gpu, { commandLine: context.commandLine, quick: false, leftOut: [] });
      writeResultFile(flags.json, { schema: 'saccade-bench/1', environment, results: [], roofline });
      console.error(`Wrote ${flags.json}`);
    }
    return 0;
  });
}
