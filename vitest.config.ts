import { existsSync, readdirSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { defineConfig, type TestProjectInlineConfiguration } from 'vitest/config';

const root = dirname(fileURLToPath(import.meta.url));

/** Folders with a package.json, so that a new package needs no edit here. */
const packageFolders = ['packages', 'apps', 'tools']
  .flatMap((group) => readdirSync(join(root, group)).map((slug) => join(root, group, slug)))
  .filter((folder) => existsSync(join(folder, 'package.json')))
  .sort();

const conditions = ['@saccade/source', 'node', 'import', 'module', 'default'];

const shared = {
  resolve: { conditions },
  ssr: { resolve: { conditions, externalConditions: conditions } },
} as const;

function filesIn(folder: string): string[] {
  return existsSync(folder) ? readdirSync(folder, { recursive: true, encoding: 'utf8' }) : [];
}

const projects: TestProjectInlineConfiguration[] = packageFolders.flatMap((folder, index) => {
  const slug = relative(dirname(folder), folder);
  const tests = filesIn(join(folder, 'test')).filter((file) => file.endsWith('.test.ts'));
  const result: TestProjectInlineConfiguration[] = [];
  if (tests.some((file) => !file.endsWith('.gpu.test.ts'))) {
    result.push({
      ...shared,
      test: {
        name: slug,
        root: folder,
        include: ['test/**/*.test.ts'],
        exclude: ['test/**/*.gpu.test.ts'],
        pool: 'forks',
        testTimeout: 30_000,
        sequence: { groupOrder: 0 },
      },
    });
  }
  if (tests.some((file) => file.endsWith('.gpu.test.ts'))) {
    result.push({
      ...shared,
      test: {
        name: `${slug}:gpu`,
        root: folder,
        include: ['test/**/*.gpu.test.ts'],
        pool: 'forks',
        isolate: false,
        maxWorkers: 1,
        testTimeout: 60_000,
        hookTimeout: 120_000,
        sequence: { groupOrder: index + 1 },
      },
    });
  }
  return result;
});

export default defineConfig({ test: { projects } });
