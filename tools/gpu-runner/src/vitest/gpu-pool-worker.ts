import { ForksPoolWorker, type PoolOptions } from 'vitest/node';
import { gpuEnvironment } from '../gpu-environment.ts';
import { dawnWarningFilter } from '../stderr-filter.ts';

/** A forked worker that starts in the environment of the chosen adapter, with Dawn's harmless warnings left out. */
export class GpuPoolWorker extends ForksPoolWorker {
  override readonly name = 'saccade-gpu';

  constructor(options: PoolOptions) {
    super({ ...options, project: withFilteredErrors(options.project) });
  }

  override async start(): Promise<void> {
    // The dynamic loader reads LD_LIBRARY_PATH when the process starts, so it cannot be set in the worker.
    this.env = { ...this.env, ...(await gpuEnvironment()) };
    await super.start();
  }
}

/** The same project, seen with a filter in front of the stream that takes the worker's stderr. */
function withFilteredErrors(project: PoolOptions['project']): PoolOptions['project'] {
  const filter = dawnWarningFilter();
  filter.pipe(project.vitest.logger.errorStream, { end: false });
  const logger = Object.create(project.vitest.logger, { errorStream: { value: filter } });
  const vitest = Object.create(project.vitest, { logger: { value: logger } });
  return Object.create(project, { vitest: { value: vitest } });
}
