import { spawn } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../../../', import.meta.url));

/** How a command ended. */
export interface CommandResult {
  readonly status: number | null;
  /** stdout and stderr. */
  readonly output: string;
}

/**
 * A workspace in a temporary folder: the files that a new method changes are copies, everything else leads to the real
 * workspace. So nothing here touches the real one, and several may exist at once.
 */
export class TemporaryWorkspace {
  readonly root = mkdtempSync(join(tmpdir(), 'saccade-create-method-'));

  constructor() {
    for (const file of ['biome.json', 'tsconfig.base.json', 'vitest.config.ts', 'package.json']) this.#copy(file);
    this.#copy(join('apps', 'docs', 'package.json'));
    for (const file of ['package.json', 'tsconfig.json', 'src', 'bin']) this.#copy(join('apps', 'bench', file));
    // The lint looks at the workspace that its own file is in.
    this.#copy(join('tools', 'lint', 'src'));
    const shared = ['node_modules', 'tools/gpu-runner', 'tools/test-run', 'packages/core', 'packages/models'];
    for (const path of [...shared, 'apps/bench/data', 'apps/bench/schema']) {
      this.#link(join(root, path), path);
    }
    this.#linkDependencies('apps/bench');
  }

  /** What installing does for a new package: links to its dependencies, and the bench's link to it. */
  install(slug: string): void {
    const folder = join('packages', slug);
    for (const name of ['core', 'models']) {
      this.#link(join(root, 'packages', name), join(folder, 'node_modules', '@saccade', name));
    }
    this.#link(join(root, 'packages', 'core', 'node_modules', 'webgpu'), join(folder, 'node_modules', 'webgpu'));
    this.#link(join(this.root, folder), join('apps/bench/node_modules/@saccade', slug));
  }

  /** Runs Node in a folder of the workspace. */
  node(args: readonly string[], folder = '.'): Promise<CommandResult> {
    const child = spawn(process.execPath, args, { cwd: join(this.root, folder), env: environment() });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (chunk: Buffer) => {
        output += chunk.toString();
      });
    }
    return new Promise((resolve, reject) => {
      child.once('error', reject);
      child.once('close', (status) => resolve({ status, output }));
    });
  }

  /** A tool of the workspace, by its file in node_modules. */
  tool(name: 'tsc' | 'biome' | 'vitest', args: readonly string[], folder?: string): Promise<CommandResult> {
    const files = { tsc: 'typescript/bin/tsc', biome: '@biomejs/biome/bin/biome', vitest: 'vitest/vitest.mjs' };
    return this.node([join(this.root, 'node_modules', files[name]), ...args], folder);
  }

  dispose(): void {
    rmSync(this.root, { recursive: true, force: true });
  }

  #copy(path: string): void {
    cpSync(join(root, path), join(this.root, path), { recursive: true });
  }

  #link(target: string, path: string): void {
    const place = join(this.root, path);
    mkdirSync(join(place, '..'), { recursive: true });
    if (!existsSync(place)) symlinkSync(target, place, 'junction');
  }

  #linkDependencies(path: string): void {
    const modules = join(path, 'node_modules');
    for (const name of readdirSync(join(root, modules))) {
      const scoped = name.startsWith('@')
        ? readdirSync(join(root, modules, name)).map((own) => join(name, own))
        : [name];
      for (const entry of scoped) this.#link(join(root, modules, entry), join(modules, entry));
    }
  }
}

/** Without what this test run has set for itself. */
function environment(): NodeJS.ProcessEnv {
  const inherited = Object.entries(process.env).filter(([name]) => !/^(VITEST|NODE_OPTIONS|TEST$|NODE_ENV)/.test(name));
  return Object.fromEntries(inherited);
}
