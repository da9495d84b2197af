import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** The distribution as `/etc/os-release` names it. */
export interface Distribution {
  /** `debian`, `ubuntu`, ... */
  readonly id: string;
  /** `bookworm`, `noble`, ...; empty where the file does not say. */
  readonly codename: string;
}

/** Reads `/etc/os-release`. Derivatives of Debian and Ubuntu count as these where they name the codename they build on. */
export function readDistribution(text: string): Distribution {
  const value = (key: string) => text.match(new RegExp(`^${key}="?([^"\n]*)"?$`, 'm'))?.[1] ?? '';
  const ubuntu = value('UBUNTU_CODENAME');
  if (ubuntu) return { id: 'ubuntu', codename: ubuntu };
  return { id: value('ID'), codename: value('VERSION_CODENAME') };
}

/** An archive that the machine already trusts and uses. */
export interface AptSource {
  readonly uri: string;
  readonly suite: string;
  readonly components: readonly string[];
  /** Keyring file or fingerprint, where the source names one. */
  readonly signedBy?: string;
}

/** Parses a one-line-per-source file (`sources.list`). */
export function parseSourceLines(text: string): AptSource[] {
  return text.split('\n').flatMap((line) => {
    const match = line.trim().match(/^deb\s+(?:\[([^\]]*)\]\s+)?(\S+)\s+(\S+)\s+(.+)$/);
    if (!match) return [];
    const [, options = '', uri = '', suite = '', components = ''] = match;
    const signedBy = options.match(/signed-by=(\S+)/)?.[1];
    return [
      { uri, suite, components: components.replace(/#.*/, '').trim().split(/\s+/), ...(signedBy && { signedBy }) },
    ];
  });
}

/** Parses a file of stanzas (`*.sources`). A source with an embedded key is left out. */
export function parseSourceStanzas(text: string): AptSource[] {
  return text.split(/\n\s*\n/).flatMap((stanza) => {
    const lines = stanza.split('\n').filter((line) => !line.startsWith('#'));
    const field = (name: string) => {
      const line = lines.find((candidate) => candidate.toLowerCase().startsWith(`${name}:`));
      return line?.slice(name.length + 1).trim() ?? '';
    };
    const words = (name: string) => field(name).split(/\s+/).filter(Boolean);
    const signedBy = field('signed-by');
    const embeddedKey = signedBy === '' && lines.some((line) => line.toLowerCase().startsWith('signed-by:'));
    if (!words('types').includes('deb') || field('enabled') === 'no' || embeddedKey) return [];
    return words('uris').flatMap((uri) =>
      words('suites').map((suite) => ({ uri, suite, components: words('components'), ...(signedBy && { signedBy }) })),
    );
  });
}

/** The machine's own sources, from `etc` (normally `/etc/apt`). */
export function readAptSources(etc: string): AptSource[] {
  const parts = join(etc, 'sources.list.d');
  const files = existsSync(parts) ? readdirSync(parts).map((name) => join(parts, name)) : [];
  return [join(etc, 'sources.list'), ...files.sort()].flatMap((file) => {
    if (!existsSync(file)) return [];
    if (file.endsWith('.list')) return parseSourceLines(readFileSync(file, 'utf8'));
    return file.endsWith('.sources') ? parseSourceStanzas(readFileSync(file, 'utf8')) : [];
  });
}

/** The archives to take Mesa from, and the suite to prefer. */
export interface DriverSources {
  readonly sources: readonly AptSource[];
  readonly targetSuite: string;
}

/**
 * Keeps the distribution's own archive out of the machine's sources, and adds backports on Debian 12, whose stock Mesa
 * is too old. Undefined where the machine has no such source.
 */
export function driverSources(distribution: Distribution, all: readonly AptSource[]): DriverSources | undefined {
  const { codename } = distribution;
  const suites = [codename, `${codename}-updates`, `${codename}-security`, `${codename}-backports`];
  const own = all.filter((source) => suites.includes(source.suite) && source.components.includes('main'));
  const base = own.find((source) => source.suite === codename);
  if (!codename || !base) return undefined;
  if (distribution.id !== 'debian' || codename !== 'bookworm') return { sources: own, targetSuite: codename };
  const backports = `${codename}-backports`;
  const sources = own.some((source) => source.suite === backports) ? own : [...own, { ...base, suite: backports }];
  return { sources, targetSuite: backports };
}

/** A source as a line of a `sources.list`. */
export function sourceLine(source: AptSource): string {
  const options = source.signedBy ? `[signed-by=${source.signedBy}] ` : '';
  return `deb ${options}${source.uri} ${source.suite} ${source.components.join(' ')}`;
}
