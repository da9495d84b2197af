import { Command, Option } from 'commander';
import type { Registry } from '../registry.ts';
import type { PeersFlags } from './commands/peers.ts';
import type { RunFlags } from './commands/run.ts';
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

/**
 * Builds the command line; `done` gets the exit code of the command that ran. The code of a command is loaded when it
 * runs: charts and GPU take long to load.
 */
export function buildProgram(context: CliContext, done: (code: ExitCode) => void): Command {
  const program = new Command('saccade-bench')
    .description('Measures attention methods on real models: quality, speed and memory, dense beside sparse.')
    .showHelpAfterError('Run with --help to see what is allowed.')
    .exitOverride();

  program
    .command('list')
    .description('what can be run: scenarios, methods with their options, models')
    .option('--json', 'machine-readable')
    .action(async (flags: { json?: boolean }) => {
      const { listCommand } = await import('./commands/list.ts');
      done(listCommand(context.registry, flags.json === true));
    });

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
    .action(async (scenarios: string[], flags: RunFlags) => {
      const { runCommand } = await import('./commands/run.ts');
      done(await runCommand(context, scenarios, flags));
    });

  program
    .command('serve')
    .description('the bench as a web page: any model and method on the WebGPU of a browser')
    .option('--port <number>', 'port on this machine', integerArgument(0), 4173)
    .option('--host <name>', 'other than localhost; browsers give WebGPU over https or localhost alone')
    .action(async (flags: { port: number; host?: string }) => {
      const { serveCommand } = await import('./commands/serve.ts');
      done(await serveCommand(context, flags));
    });

  program
    .command('start')
    .description('the main job: a real model, dense beside a method, with a report')
    .addOption(adapterOption())
    .action(async (flags: { adapter?: string }) => {
      const { startCommand } = await import('./commands/start.ts');
      done(await startCommand(context, flags));
    });

  program
    .command('roofline')
    .description('measure the peaks of the adapter: arithmetic, memory, exchange, latencies, each over a sweep')
    .addOption(adapterOption())
    .option('--peak <text>', 'only peaks whose name contains this, such as fma, read or unpack', '')
    .option(
      '--seconds <n>',
      'time of a peak, after which each further candidate is sampled once',
      integerArgument(1),
      10,
    )
    .option('--json <file>', 'write the result file', callerPath)
    .action(async (flags: { adapter?: string; peak: string; seconds: number; json?: string }) => {
      const { rooflineCommand } = await import('./commands/roofline.ts');
      done(await rooflineCommand(context, flags));
    });

  program
    .command('peers')
    .description('the same work in other engines on the same adapter, timed alternately')
    .addOption(adapterOption())
    .option('--peer <name>', 'only this engine; repeatable', collect, [])
    .option('--work <text>', 'only works whose name contains this', '')
    .option('--repeats <n>', 'measured rounds', integerArgument(1), 7)
    .option(
      '--seconds <n>',
      'of works that take long, only the rounds that fit into this time; at least one',
      integerArgument(1),
      8,
    )
    .option(
      '--limit <s>',
      'seconds that another engine is given to prepare a work and for each run, of whole models twenty times as many',
      integerArgument(1),
      30,
    )
    .option('--quick', 'small works only')
    .option('--json <file>', 'write the result file', callerPath)
    .action(async (flags: PeersFlags) => {
      const { peersCommand } = await import('./commands/peers.ts');
      done(await peersCommand(context, flags));
    });

  program
    .command('report')
    .description('turn a result file into a page for people')
    .argument('<file>', 'a result file', callerPath)
    .option('--html <out>', 'a self-contained page with plots', callerPath)
    .option('--markdown <out>', 'tables as Markdown', callerPath)
    .action(async (file: string, flags: { html?: string; markdown?: string }) => {
      const { reportCommand } = await import('./commands/report.ts');
      done(reportCommand(context.registry, file, flags));
    });

  program
    .command('join')
    .description('put result files of one adapter together, such as those of a roofline or of peers measured in parts')
    .argument('<file...>', 'result files', (file: string, before: string[] = []) => [...before, callerPath(file)])
    .requiredOption('--json <file>', 'the joined result file', callerPath)
    .action(async (files: string[], flags: { json: string }) => {
      const { joinCommand } = await import('./commands/join.ts');
      done(joinCommand(files, flags.json));
    });

  return program;
}

function adapterOption(): Option {
  return new Option('--adapter <name>', "hardware, lavapipe, swiftshader, or a part of the adapter's name");
}
