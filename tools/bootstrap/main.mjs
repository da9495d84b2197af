/*
 * `npm start` and `npm test`: takes a fresh clone to a working workspace, then runs the main job or the tests. Uses nothing
 * but Node and npm, since nothing else is installed yet.
 */
import { join } from 'node:path';
import { nodeRefusal } from './node-version.mjs';
import { setUp } from './set-up.mjs';
import { testArguments } from './test-arguments.mjs';
import { turbo } from './turbo.mjs';
import { run, StepFailed, say } from './workspace.mjs';

/**
 * Without arguments lint, typecheck, build, documentation and every test; with arguments the tests that they name.
 *
 * @param {readonly string[]} args for Vitest
 */
async function test(args) {
  const checks =
    args.length > 0
      ? 0
      : await turbo([
          'run',
          'lint',
          'lint:workspace',
          'typecheck',
          'build',
          'docs',
          '--continue',
          '--output-logs=errors-only',
        ]);
  if (checks !== 0)
    say('lint, typecheck, build or documentation failed (above); the tests run all the same, then this ends as failed');
  const tests = await run(process.execPath, [
    join('node_modules', 'vitest', 'vitest.mjs'),
    'run',
    ...testArguments(args),
  ]);
  return tests || checks;
}

/** @type {Record<string, (args: readonly string[]) => Promise<number>>} */
const commands = {
  setup: async () => 0,
  start: (args) => run(process.execPath, [join('apps', 'bench', 'bin', 'saccade-bench.mjs'), 'start', ...args]),
  test,
};

const [name = '', ...args] = process.argv.slice(2);
const command = commands[name];
const refusal = nodeRefusal(process.versions.node);
if (refusal || !command) {
  process.stderr.write(
    `${refusal ?? `main.mjs: unknown command "${name}"; known: ${Object.keys(commands).join(', ')}.`}\n`,
  );
  process.exitCode = 2;
} else {
  try {
    await setUp();
    process.exitCode = await command(args);
  } catch (error) {
    if (!(error instanceof StepFailed)) throw error;
    process.stderr.write(`saccade: ${error.message}\n`);
    process.exitCode = 1;
  }
}
