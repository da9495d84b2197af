import { startTests, type Task, type VitestRunner } from '@vitest/runner';

/** How a test of the page ended. */
export interface PageResult {
  /** Groups and name, as `attention > sees no future`. */
  readonly name: string;
  readonly state: 'pass' | 'fail' | 'skip';
  readonly milliseconds: number;
  readonly error: string | undefined;
}

/** Runs the tests of one file whose names fit, in this page. */
async function runFile(address: string, names: string, testTimeout: number): Promise<PageResult[]> {
  const runner: VitestRunner = {
    config: {
      root: '/',
      setupFiles: [],
      name: undefined,
      passWithNoTests: false,
      testNamePattern: new RegExp(names),
      allowOnly: false,
      sequence: { seed: 1, hooks: 'stack', setupFiles: 'list' },
      chaiConfig: undefined,
      maxConcurrency: 1,
      testTimeout,
      hookTimeout: testTimeout,
      retry: 0,
      includeTaskLocation: false,
      tags: [],
      tagsFilter: undefined,
      strictTags: false,
    },
    importFile: (file) => import(file),
  };
  const files = await startTests([address], runner);
  const failed = files.filter(({ result }) => result?.errors?.length);
  for (const { result } of failed) throw new Error(result?.errors?.map(({ message }) => message).join('\n'));
  return files.flatMap((file) => file.tasks.flatMap((task) => results(task, '')));
}

function results(task: Task, group: string): PageResult[] {
  const name = group ? `${group} > ${task.name}` : task.name;
  if (task.type === 'suite') return task.tasks.flatMap((each) => results(each, name));
  const state = task.result?.state === 'pass' ? 'pass' : task.result?.state === 'fail' ? 'fail' : 'skip';
  const error = task.result?.errors?.map(({ message, stack }) => stack ?? message).join('\n');
  return [{ name, state, milliseconds: task.result?.duration ?? 0, error }];
}

Object.assign(globalThis, { runFile });
