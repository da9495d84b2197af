import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createMethod } from './create-method.ts';
import { CreateMethodError } from './create-method-error.ts';

/* `pnpm create-method <slug>`: makes the package, installs its links, and formats what was written. */
const root = fileURLToPath(new URL('../../../', import.meta.url));

function run(command: string, args: readonly string[]): void {
  const { status, error } = spawnSync(join(root, 'node_modules', '.bin', command), args, {
    cwd: root,
    stdio: 'inherit',
    shell: process.platform === 'win32',
  });
  if (error || status !== 0) throw new Error(`${command} ${args.join(' ')} failed${error ? `: ${error.message}` : ''}`);
}

/** Lines of what to run or read, and what that gives, in two columns. */
function aligned(rows: readonly (readonly [what: string, gives: string])[]): string[] {
  const width = Math.max(...rows.map(([what]) => what.length));
  return rows.map(([what, gives]) => `  ${what.padEnd(width)}   ${gives}`);
}

try {
  const [slug, ...rest] = process.argv.slice(2);
  if (slug === undefined || rest.length > 0) {
    throw new CreateMethodError('usage', 'Usage: npx pnpm create-method <slug>, such as key-sketch.');
  }
  const { folder, changed } = createMethod(root, slug);
  run('pnpm', ['install', '--prefer-offline', '--no-frozen-lockfile']);
  run('biome', ['check', '--write', folder, ...changed.filter((path) => path.endsWith('.ts'))]);
  process.stdout.write(
    [
      `Made ${folder}; changed ${changed.join(', ')}.`,
      '',
      ...aligned([
        [`npx pnpm test --project ${slug}`, 'its tests'],
        ['npx pnpm bench list', 'it is among the methods'],
        ['docs/guides/write-a-method.md', 'from here to a method of your own'],
      ]),
      '',
    ].join('\n'),
  );
} catch (error) {
  if (!(error instanceof CreateMethodError)) throw error;
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 2;
}
