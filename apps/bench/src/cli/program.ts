import { Command, Option } from 'commander';
import type { Registry } from '../registry.ts';
import { listCommand } from './commands/list.ts';
import { reportCommand } from './commands/report.ts';
import { type RunFlags, runCommand } from './commands/run.ts';
import { budgetsArgument, callerPath, collect, integerArgument, lengthsArgument } from './values.ts';

/** What a command ends with. */
export type ExitCode = 0 | 1 | 2;

/** Surroundings of the command line. */
export interface CliContext {
  readonly registry: Registry;
  /** As typed, for the result file. */
  readonly commandLine: string;
  readonly signal: AbortSignal;
}

/** Builds the command line; `done` gets the exit code of the command that ran. */
export function buildProgram(context: CliContext, done: (code: ExitCode) => void): Command {
  const program = new Command('saccade-bench')
    .description('Measures attention methods on real models: quality, speed and memory, dense beside sparse.')
    .showHelpAfterError('Run with --help to see what is allowed.')
    .exitOverride();

  program
    .command('list')
    .description('what can be run: scenarios, methods with their options, models')
    .option('--json', 'machine-readable')
    .action((flags: { json?: boolean }) => done(listCommand(context.registry, flags.json === true)));

  program
    .command('run')
    .description('run scenarios and print their results')
    .argument('<scenario...>', 'names from the list')
    .option('--model <name>', 'a model by name or path (repeatable; default: the first that fits)', collect, [])
    .option('--method <name[:key=value,...]>', 'a method (repeatable; default: all that fit)', collect, [])
    .option('--budget <shares>', 'shares of the context that methods may read, such as 0.05,0.1', budgetsArgument)
    .option('--lengths <tokens>', 'context lengths, such as 1024,4096', lengthsArgument)
    .option('--seed <number>', 'the same seed gives the same run', integerArgument(0), 0)
    .option('--repeats <number>', 'repeats of each measurement', integerArgument(1))
    .addOption(adapterOption())
    .option('--quick', 'at most 3 minutes per scenario on 2 cores; says what it left out')
    .option('--json <file>', 'write the result file', callerPath)
    .action(async (scenarios: string[], flags: RunFlags) => done(await runCommand(context, scenarios, flags)));

  program
    .command('report')
    .description('turn a result file into a page for people')
    .argument('<file>', 'a result file', callerPath)
    .option('--html <out>', 'a self-contained page with plots', callerPath)
    .option('--markdown <out>', 'tables as Markdown', callerPath)
    .action((file: string, flags: { html?: string; markdown?: string }) =>
      done(reportCommand(context.registry, file, flags)),
    );

  return program;
}

function adapterOption(): Option {
  return new Option('--adapter <name>', "hardware, lavapipe, swiftshader, or a part of the adapter's name");
}
