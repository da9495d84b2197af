import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';
import { gpuTestOptions } from './tools/gpu-runner/src/vitest/index.ts';
import { ClosingReporter } from './tools/test-run/src/closing-reporter.ts';
import { LastFilesSequencer } from './tools/test-run/src/last-files-sequencer.ts';
import { testProjects } from './tools/test-run/src/projects.ts';

const root = fileURLToPath(new URL('.', import.meta.url));

export default defineConfig({
  test: {
    projects: testProjects(root, gpuTestOptions),
    sequence: { sequencer: LastFilesSequencer },
    reporters: ['default', new ClosingReporter()],
  },
});
