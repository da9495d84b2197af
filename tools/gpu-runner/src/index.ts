export { type AdapterKind, type AdapterReport, adapterLabel } from './adapter.ts';
export { cacheFolder } from './cache-folder.ts';
export type { GpuVariables } from './candidates.ts';
export type { AdapterChoice, PassedOver } from './choose-adapter.ts';
export { AdapterUnavailableError, DriverSetupError, GpuRunnerError } from './errors.ts';
export {
  currentAdapter,
  type EnsureOptions,
  ensureAdapter,
  ensureGpuEnvironment,
  gpuEnvironment,
  gpuFingerprint,
} from './gpu-environment.ts';
export type { Log } from './log.ts';
export { type RunOptions, runScriptWithGpu, runWithGpu } from './run-with-gpu.ts';
export { dawnWarningFilter } from './stderr-filter.ts';
