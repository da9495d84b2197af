import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { filesEnding, workspace } from '../workspace.ts';
import { completed } from './complete.ts';

/** A TypeScript block of a README or a guide. */
export interface Example {
  /** The page, relative to the workspace. */
  readonly page: string;
  /** 1-based line of the block in the page. */
  readonly line: number;
  /** File name without ending, unique and stable while the page's earlier blocks stay. */
  readonly name: string;
  readonly text: string;
}

/** Where examples are written as files, so that they resolve the packages as a user's do. */
export const examplesFolder = join(workspace, 'apps', 'docs', '.examples');

/** Pages whose examples must compile: what users read first. Architecture pages show parts of code. */
function pages(): string[] {
  const readmes = filesEnding('README.md', 'packages').filter((path) => /^packages\/[^/]+\/README\.md$/.test(path));
  return ['README.md', ...readmes, 'tools/gpu-runner/README.md', ...filesEnding('.md', 'docs/guides')];
}

/** Every TypeScript block of these pages, but those that belong to a named file, which the test of that guide runs. */
export function examples(): Example[] {
  return pages().flatMap((page) => examplesOf(page, readFileSync(join(workspace, page), 'utf8')));
}

/** The TypeScript blocks of a page. */
export function examplesOf(page: string, text: string): Example[] {
  const stem = page.replace(/\/?README\.md$|\.md$/, '').replaceAll('/', '-') || 'readme';
  return [...text.matchAll(/^```ts\n([\s\S]*?)^```$/gm)].map(({ index, 1: block = '' }, at) => ({
    page,
    line: text.slice(0, index).split('\n').length + 1,
    name: `${stem}-${at + 1}`,
    text: block,
  }));
}

/** Writes the examples as modules, completed where they show only a part, and a configuration to compile them by. */
export async function writeExamples(all: readonly Example[]): Promise<void> {
  rmSync(examplesFolder, { recursive: true, force: true });
  mkdirSync(examplesFolder, { recursive: true });
  for (const example of all) writeFileSync(join(examplesFolder, `${example.name}.ts`), await completed(example.text));
  const configuration = {
    extends: '../../../tsconfig.base.json',
    compilerOptions: {
      noEmit: true,
      noUnusedLocals: false,
      noUncheckedIndexedAccess: false,
      exactOptionalPropertyTypes: false,
      verbatimModuleSyntax: false,
      lib: ['ES2023', 'ESNext.Disposable', 'DOM', 'DOM.Iterable', 'DOM.AsyncIterable'],
    },
    include: ['*.ts'],
  };
  writeFileSync(join(examplesFolder, 'tsconfig.json'), JSON.stringify(configuration));
}
