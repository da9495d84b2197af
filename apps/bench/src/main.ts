import { runCli } from './cli/run-cli.ts';

// Dawn keeps the process alive, so its end is said.
process.exit(await runCli(process.argv.slice(2)));
