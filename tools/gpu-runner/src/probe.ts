import { spawn } from 'node:child_process';
import type { AdapterReport } from './adapter.ts';
import { runsFromSource, siblingModule, typeScriptFlags } from './sibling.ts';
import { isHarmlessDawnWarning } from './stderr-filter.ts';

/** What the probing process prints. `name` is what Dawn must be asked for, `seen` are all names that Dawn lists. */
export type ProbeAnswer =
  | {
      readonly found: true;
      readonly adapter: AdapterReport;
      readonly name?: string | undefined;
      readonly seen: readonly string[];
    }
  | { readonly found: false; readonly seen: readonly string[] };

/** An adapter that works, or why there is none. */
export type ProbeResult = Extract<ProbeAnswer, { found: true }> | { readonly found: false; readonly reason: string };

const timeoutMs = 60_000;

/** Opens the default adapter in a process of its own, with the given variables beside the present environment. */
export function probeAdapter(variables: Readonly<Record<string, string>>): Promise<ProbeResult> {
  const flags = runsFromSource ? typeScriptFlags() : [];
  const child = spawn(process.execPath, [...flags, siblingModule('probe-child')], {
    env: { ...process.env, NODE_OPTIONS: '', ...variables },
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: timeoutMs,
  });
  const output: Buffer[] = [];
  const errors: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => output.push(chunk));
  child.stderr.on('data', (chunk: Buffer) => errors.push(chunk));
  return new Promise((resolve) => {
    child.once('error', (error) => resolve({ found: false, reason: error.message }));
    child.once('close', (code, signal) => {
      const complaint = summary(Buffer.concat(errors).toString('utf8'));
      if (code !== 0) {
        const end = signal ? `ended by ${signal}` : `exit code ${code}`;
        resolve({ found: false, reason: `the probe failed (${end})${complaint && `: ${complaint}`}` });
        return;
      }
      const answer = JSON.parse(Buffer.concat(output).toString('utf8')) as ProbeAnswer;
      const without =
        answer.seen.length > 0 ? `Dawn sees ${answer.seen.join(', ')}` : complaint || 'Dawn sees no adapter';
      resolve(answer.found ? answer : { found: false, reason: without });
    });
  });
}

/** The telling lines of Dawn's and the Vulkan loader's stderr, without source locations. */
function summary(stderr: string): string {
  const lines = stderr.split('\n').map((line) => line.trim());
  const telling = lines.filter((line) => line && !line.startsWith('at ') && !isHarmlessDawnWarning(line));
  return [...new Set(telling.map((line) => line.replace(/^Warning: /, '')))].slice(0, 3).join('; ');
}
