import type { Environment } from '../result-file/types.ts';
import { formatBytes, grouped } from './format.ts';

/** The environment as named lines for people. */
export function environmentFacts(
  environment: Environment,
): readonly { readonly name: string; readonly value: string }[] {
  const { adapter } = environment;
  const facts: [string, string][] = [
    ['Date', environment.date],
    ['Command', environment.commandLine],
    ['Adapter', adapter === null ? 'none opened' : adapterName(adapter)],
  ];
  if (adapter !== null) {
    if (adapter.driver !== null) facts.push(['Driver', adapter.driver]);
    facts.push(['Features', adapter.features.join(', ') || 'none beyond the core of WebGPU']);
    const limits = Object.entries(adapter.limits).map(([name, value]) => `${name} ${grouped(value)}`);
    facts.push(['Limits', limits.join(', ')]);
  }
  facts.push(
    ['CPU', `${environment.cpu.model}, ${environment.cpu.cores} cores`],
    ['Memory', formatBytes(environment.memoryBytes)],
    ['System', environment.operatingSystem],
    environment.node === null ? ['Browser', environment.browser ?? 'unknown'] : ['Node', environment.node],
    [
      'Packages',
      Object.entries(environment.packages)
        .map((entry) => entry.join(' '))
        .join(', '),
    ],
    ['Commit', environment.commit ?? 'not in a repository'],
  );
  if (environment.leftOut.length > 0) facts.push(['Left out by --quick', environment.leftOut.join('. ')]);
  return facts.map(([name, value]) => ({ name, value }));
}

/** A short name of an adapter, with a warning where it is no GPU. */
export function adapterName(adapter: NonNullable<Environment['adapter']>): string {
  const name = adapter.device || adapter.description || `${adapter.vendor} ${adapter.architecture}`.trim() || 'unnamed';
  return adapter.software ? `${name} (a CPU that runs GPU code; no real GPU)` : name;
}
