import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, expect, it } from 'vitest';
import { createMethod } from '../src/create-method.ts';
import { checkPackage } from './check-package.ts';
import { guideBlocks, withPart } from './guide.ts';
import { type CommandResult, TemporaryWorkspace } from './temporary-workspace.ts';

const slug = 'strided-window';
const workspace = new TemporaryWorkspace();
afterAll(() => workspace.dispose());

/** A model that is small and needs no download. */
const smallModel = fileURLToPath(
  new URL('../../../packages/models/test/golden/llama-gguf/model.gguf', import.meta.url),
);

/** Runs a command of the guide in the temporary workspace. */
async function run(command: string): Promise<CommandResult> {
  const [npx, pnpm, ...words] = command.split(' ');
  expect([npx, pnpm]).toEqual(['npx', 'pnpm']);
  const [name, ...rest] = words;
  const bench = (args: readonly string[]) =>
    workspace.node([join('apps', 'bench', 'bin', 'saccade-bench.mjs'), ...args]);
  if (command === `npx pnpm create-method ${slug}`) {
    createMethod(workspace.root, slug);
    workspace.install(slug);
    return { status: 0, output: '' };
  }
  if (command === `npx pnpm test --project ${slug}`) {
    return workspace.tool('vitest', ['run', `--project=${slug}`, `--project=${slug}:gpu`]);
  }
  if (command === 'npx pnpm run typecheck') {
    return workspace.tool('tsc', ['-p', 'tsconfig.json'], join('packages', slug));
  }
  if (command === 'npx pnpm run lint')
    return workspace.node(['--import', 'tsx', join('tools', 'lint', 'src', 'main.ts')]);
  if (name === 'bench' && rest[0] === 'run') return bench([...rest, '--model', smallModel, '--lengths', '96']);
  if (name === 'bench') return bench(rest);
  throw new Error(`the test knows no way to run: ${command}`);
}

it('every block of "Write a method in 30 minutes" does what it says', async () => {
  const outputs = new Map<string, string>();
  for (const { language, file, part, text } of guideBlocks()) {
    if (language === 'sh') {
      for (const command of text.trim().split('\n')) {
        const { status, output } = await run(command);
        expect(status, `${command}\n${output}`).toBe(0);
        outputs.set(command.split(' ').slice(2, 4).join(' '), output);
      }
    } else if (file) {
      const path = join(workspace.root, 'packages', slug, file);
      // Files that the guide gives as a whole exist in the scaffold already.
      const before = readFileSync(path, 'utf8');
      writeFileSync(path, part ? withPart(before, part, text) : text);
    } else throw new Error(`a ${language} block names no file`);
  }
  expect(outputs.get('bench list')).toContain('every n-th token between them');
  // Dense, the method and the baseline, each at the budgets.
  const rows = outputs.get('bench run')?.match(/^\| (?:dense|strided-window|sinks-recent) .* ok /gm) ?? [];
  expect(new Set(rows.map((row) => row.split(' ')[1]))).toEqual(new Set(['dense', slug, 'sinks-recent']));
  await workspace.tool('biome', [
    'check',
    '--write',
    '--vcs-enabled=false',
    join('packages', slug),
    'apps/bench/src/methods.ts',
  ]);
  await checkPackage(workspace, slug);
}, 240_000);
