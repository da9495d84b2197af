import { existsSync, readdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { GpuTestOptions } from '@saccade/gpu-runner/vitest';
import type { TestProjectInlineConfiguration } from 'vitest/config';

const groups = ['packages', 'apps', 'tools'];
const conditions = ['@saccade/source', 'node', 'import', 'module', 'default'];

/** A package with tests, and which kinds it has. */
export interface TestedPackage {
  readonly slug: string;
  readonly folder: string;
  readonly cpu: boolean;
  readonly gpu: boolean;
  readonly browser: boolean;
}

/** The packages of the workspace that have tests, in the order of their folders. */
export function testedPackages(root: string): TestedPackage[] {
  const folders = groups
    .map((group) => join(root, group))
    .filter((group) => existsSync(group))
    .flatMap((group) =>
      readdirSync(group)
        .sort()
        .map((slug) => join(group, slug)),
    );
  return folders.flatMap((folder) => {
    const tests = join(folder, 'test');
    if (!existsSync(join(folder, 'package.json')) || !existsSync(tests)) return [];
    const files = readdirSync(tests, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.test.ts'));
    const gpu = files.some((file) => file.endsWith('.gpu.test.ts'));
    const browser = files.some((file) => file.endsWith('.browser.test.ts'));
    const cpu = files.some((file) => !/\.(gpu|browser)\.test\.ts$/.test(file));
    return files.length > 0 ? [{ slug: basename(folder), folder, cpu, gpu, browser }] : [];
  });
}

/**
 * The projects of the one Vitest run: `<slug>` for a package's CPU tests, which run in parallel; `<slug>:gpu` for its GPU
 * tests (`*.gpu.test.ts`) and `<slug>:browser` for those that drive a browser (`*.browser.test.ts`; they may open the GPU in
 * Node too, to compare), which run after them, one package and one file at a time.
 *
 * @param gpuTestOptions the options of a GPU project by its place in the order
 */
export function testProjects(
  root: string,
  gpuTestOptions: (groupOrder: number) => GpuTestOptions,
): TestProjectInlineConfiguration[] {
  return testedPackages(root).flatMap(({ slug, folder, cpu, gpu, browser }, index) => {
    const resolution = { resolve: { conditions }, ssr: { resolve: { conditions, externalConditions: conditions } } };
    const cpuProject: TestProjectInlineConfiguration = {
      ...resolution,
      test: {
        name: slug,
        root: folder,
        include: ['test/**/*.test.ts'],
        exclude: ['test/**/*.{gpu,browser}.test.ts'],
        pool: 'forks',
        testTimeout: 90_000,
        sequence: { groupOrder: 0 },
      },
    };
    const serial = (kind: 'gpu' | 'browser', order: number): TestProjectInlineConfiguration => ({
      ...resolution,
      test: { name: `${slug}:${kind}`, root: folder, include: [`test/**/*.${kind}.test.ts`], ...gpuTestOptions(order) },
    });
    return [
      ...(cpu ? [cpuProject] : []),
      ...(gpu ? [serial('gpu', 2 * index + 1)] : []),
      ...(browser ? [serial('browser', 2 * index + 2)] : []),
    ];
  });
}
