import { join } from 'node:path';
import { expect } from 'vitest';
import type { TemporaryWorkspace } from './temporary-workspace.ts';

/** Builds, typechecks, lints and tests a package of the workspace, and looks for it in the bench. */
export async function checkPackage(workspace: TemporaryWorkspace, slug: string): Promise<void> {
  const folder = join('packages', slug);
  const runs = [
    () => workspace.tool('tsc', ['-p', 'tsconfig.build.json'], folder),
    () => workspace.tool('tsc', ['-p', 'tsconfig.json'], folder),
    () => workspace.tool('tsc', ['--noEmit', '-p', 'tsconfig.json'], 'apps/bench'),
    // The temporary folder is under no version control, whose ignore file biome would look for.
    () => workspace.tool('biome', ['check', '--vcs-enabled=false', folder, 'apps/bench/src/methods.ts']),
    () => workspace.node(['--import', 'tsx', join('tools', 'lint', 'src', 'main.ts')]),
    () => workspace.tool('vitest', ['run', `--project=${slug}`, `--project=${slug}:gpu`]),
  ];
  for (const run of runs) {
    const { status, output } = await run();
    expect(status, output).toBe(0);
  }
  const list = await workspace.node([join('apps', 'bench', 'bin', 'saccade-bench.mjs'), 'list', '--json']);
  expect(list.status, list.output).toBe(0);
  const { methods, scenarios } = JSON.parse(list.output) as {
    methods: { name: string; role: string; hasBudget: boolean }[];
    scenarios: { name: string; methods: string[] }[];
  };
  expect(methods.find(({ name }) => name === slug)).toMatchObject({ role: 'method', hasBudget: true });
  expect(scenarios.find(({ name }) => name === 'language/needle')?.methods).toContain(slug);
}
