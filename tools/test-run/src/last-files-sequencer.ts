import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** Vitest's order, but files named `*.last.gpu.test.ts` come last: they look back on what the others did. */
export class LastFilesSequencer extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    const last = (file: TestSpecification) => file.moduleId.endsWith('.last.gpu.test.ts');
    return [...sorted.filter((file) => !last(file)), ...sorted.filter(last)];
  }
}
