import { Command } from 'commander';
import { adapterLabel } from './adapter.ts';
import type { AdapterChoice } from './choose-adapter.ts';
import { installSystemDriver } from './drivers/system.ts';
import { GpuRunnerError } from './errors.ts';
import { currentAdapter, ensureAdapter, gpuFingerprint } from './gpu-environment.ts';
import { runScriptWithGpu } from './run-with-gpu.ts';

const program = new Command('saccade-gpu')
  .enablePositionalOptions()
  .description('WebGPU in Node: finds an adapter or unpacks a software driver, and runs scripts on it.')
  .addHelpText('after', "\nSACCADE_ADAPTER=hardware|lavapipe|swiftshader, or a part of an adapter's name, forces one.");

program
  .command('info')
  .description('the adapter, its features and limits, and why others were passed over')
  .option('--json', 'as JSON')
  .action(async (options: { json?: boolean }) => {
    const choice = await currentAdapter();
    process.stdout.write(options.json ? `${JSON.stringify(infoObject(choice), null, 2)}\n` : infoText(choice));
  });

program
  .command('run')
  .description('runs a TypeScript or JavaScript file with Node on the adapter')
  .argument('<file>')
  .argument('[args...]')
  .passThroughOptions()
  .action(async (file: string, args: string[]) => {
    process.exitCode = await runScriptWithGpu(file, args);
  });

program
  .command('setup')
  .description('unpacks a software driver into the cache folder, where the machine has no adapter')
  .option('--system', 'install Mesa for the whole machine with apt instead (as root)')
  .action(async (options: { system?: boolean }) => {
    const log = (line: string) => process.stdout.write(`gpu: ${line}\n`);
    if (options.system) await installSystemDriver(log);
    const choice = await ensureAdapter({ log });
    log(`ready: ${adapterLabel(choice.adapter)}`);
  });

function infoObject(choice: AdapterChoice): object {
  const { adapter, source, variables, passedOver } = choice;
  return { adapter, source, variables, passedOver, node: process.version, fingerprint: gpuFingerprint(choice) };
}

function infoText(choice: AdapterChoice): string {
  const { adapter, source, variables, passedOver } = choice;
  const section = (title: string, lines: readonly string[]) =>
    lines.length > 0 ? [title, ...lines.map((line) => `  ${line}`)] : [];
  return `${[
    `adapter   ${adapterLabel(adapter)}`,
    `kind      ${adapter.kind}`,
    `from      ${source}`,
    `node      ${process.version}`,
    ...section(
      'variables',
      Object.entries(variables).map(([name, value]) => `${name}=${value}`),
    ),
    ...section('features', adapter.features),
    ...section(
      'limits',
      Object.entries(adapter.limits).map(([name, value]) => `${name.padEnd(42)} ${value.toLocaleString('en')}`),
    ),
    ...section(
      'passed over',
      passedOver.map(({ what, reason }) => `${what}: ${reason}`),
    ),
  ].join('\n')}\n`;
}

try {
  await program.parseAsync();
} catch (error) {
  if (!GpuRunnerError.isInstance(error)) throw error;
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 1;
}
