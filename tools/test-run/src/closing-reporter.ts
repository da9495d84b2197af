import { relative } from 'node:path';
import type { Reporter, TestModule, Vitest } from 'vitest/node';
import { budgetWarnings, countsLine, type FileTime, slowestFileLines, type TestCounts } from './closing-report.ts';

/** Prints, after Vitest's own summary, the slowest files, exceeded budgets and one plain line of counts. */
export class ClosingReporter implements Reporter {
  #vitest: Vitest | undefined;

  onInit(vitest: Vitest): void {
    this.#vitest = vitest;
  }

  onTestRunEnd(modules: readonly TestModule[], errors: readonly unknown[]): void {
    const root = this.#vitest?.config.root ?? process.cwd();
    const files = modules.map((module) => fileTime(module, root));
    const lines = [...slowestFileLines(files), ...budgetWarnings(files)];
    const counts = countTests(modules, errors.length);
    this.#vitest?.logger.log([...lines, '', countsLine(counts)].join('\n'));
  }
}

function fileTime(module: TestModule, root: string): FileTime {
  const { duration, collectDuration, setupDuration } = module.diagnostic();
  const milliseconds = duration + collectDuration + setupDuration;
  return { project: module.project.name, file: relative(root, module.moduleId), milliseconds };
}

/** Counts tests by outcome; a file that could not be loaded and an error outside any test each count as a failure. */
function countTests(modules: readonly TestModule[], errorsOutsideTests: number): TestCounts {
  let [passed, failed, skipped] = [0, errorsOutsideTests, 0];
  for (const module of modules) {
    if (module.errors().length > 0) failed += 1;
    for (const test of module.children.allTests()) {
      const { state } = test.result();
      if (state === 'passed') passed += 1;
      else if (state === 'failed') failed += 1;
      else skipped += 1;
    }
  }
  return { passed, failed, skipped };
}
