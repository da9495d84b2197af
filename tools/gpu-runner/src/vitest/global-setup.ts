import { ensureGpuEnvironment } from '../gpu-environment.ts';

/** Unpacks a software driver before the first GPU test, where the machine has no adapter. */
export async function setup(): Promise<void> {
  await ensureGpuEnvironment({ log: (line) => process.stdout.write(`gpu: ${line}\n`) });
}
