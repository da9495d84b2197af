import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { CreateMethodError } from './create-method-error.ts';
import { type MethodNames, methodNames, renamed } from './method-names.ts';
import { type FileChange, registerMethod } from './register-method.ts';

const template = fileURLToPath(new URL('../template/', import.meta.url));

/** What was written, relative to the workspace. */
export interface CreatedMethod {
  /** The new package. */
  readonly folder: string;
  /** Files outside it that were changed or made. */
  readonly changed: readonly string[];
}

/**
 * Makes `packages/<slug>` from the template and lists it in the bench and the documentation site. The package appears as a
 * whole or not at all: it is written beside its place and moved there.
 *
 * @throws CreateMethodError for a slug that is none, is reserved or is taken, or where a list has another layout
 */
export function createMethod(root: string, slug: string): CreatedMethod {
  const names = methodNames(slug);
  const folder = join('packages', slug);
  refuseTaken(root, folder, slug);
  const changes: FileChange[] = [...registerMethod(root, names), changeset(names)];
  const work = mkdtempSync(join(root, '.creating-'));
  try {
    writePackage(work, names);
    renameSync(work, join(root, folder));
  } catch (error) {
    rmSync(work, { recursive: true, force: true });
    throw error;
  }
  for (const { path, text } of changes) replaceFile(join(root, path), text);
  return { folder, changed: changes.map(({ path }) => path) };
}

function refuseTaken(root: string, folder: string, slug: string): void {
  if (existsSync(join(root, folder))) {
    throw new CreateMethodError('taken', `${folder} exists already; choose another slug, or remove it first.`);
  }
  const baselines = join(root, 'apps', 'bench', 'src', 'baselines');
  for (const file of readdirSync(baselines)) {
    if (!readFileSync(join(baselines, file), 'utf8').includes(`name: '${slug}'`)) continue;
    throw new CreateMethodError('taken', `the bench has a baseline called ${slug}; choose another slug.`);
  }
}

function writePackage(folder: string, names: MethodNames): void {
  for (const path of readdirSync(template, { recursive: true, encoding: 'utf8' })) {
    // Folders come with their files.
    if (!/\.[a-z]+$/.test(path)) continue;
    const target = join(folder, renamed(path, names));
    mkdirSync(dirname(target), { recursive: true });
    writeFileSync(target, renamed(readFileSync(join(template, path), 'utf8'), names));
  }
}

function changeset({ slug, title }: MethodNames): FileChange {
  return {
    path: join('.changeset', `add-${slug}.md`),
    text: `---\n"@saccade/${slug}": minor\n---\n\nFirst release: ${title}.\n`,
  };
}

/** In one step, so that an interrupted run leaves no half file. */
function replaceFile(path: string, text: string): void {
  mkdirSync(dirname(path), { recursive: true });
  const partial = `${path}.${process.pid}`;
  writeFileSync(partial, text);
  renameSync(partial, path);
}
