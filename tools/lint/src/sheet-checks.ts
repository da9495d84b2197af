import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Finding, WorkspacePackage } from './workspace-package.ts';

/** How many numbered checks the specification of each method has. */
const checksOf: Readonly<Record<string, number>> = {
  avar: 8,
  based: 7,
  'bottleneck-sampling': 8,
  'bottlenecked-transformer': 10,
  'capability-ceilings': 9,
  carve: 9,
  'causal-state': 7,
  cib: 8,
  'circuit-reuse': 8,
  'codebook-embodied': 8,
  'compose-and-fuse': 7,
  'concept-metrics': 7,
  'consciousness-prior': 9,
  'counting-readout': 9,
  'deconstructing-attention': 8,
  deris: 8,
  'do-you-see-me': 8,
  drct: 8,
  'eeg-channel-attention': 8,
  'flash-attention-2': 7,
  'flash-attention-4': 7,
  'flux-attention': 9,
  focusft: 9,
  'gated-attention': 9,
  gift: 6,
  gna: 6,
  hdpo: 9,
  hylra: 8,
  'ib-compression': 8,
  'ib-generalization': 9,
  kinetics: 7,
  'kv-physics': 9,
  manar: 9,
  mona: 9,
  pavlovian: 9,
  'r-learner-network': 7,
  're-ttention': 7,
  sparsed: 8,
  spatten: 9,
  tidaldecode: 9,
  var: 6,
  vhr: 8,
  vision4chart: 9,
  visor: 9,
  'visual-search-asymmetry': 8,
  zipvl: 8,
};

const mention = /\bchecks?\s+(\d+(?:(?:,\s*|\s+and\s+|\s+to\s+)\d+)*)/gi;

/** Every check of a method's specification is a test by its number, or the README says by its number why not. */
export function checkSheetChecks(packages: readonly WorkspacePackage[]): Finding[] {
  return packages
    .filter(({ role }) => role === 'method')
    .flatMap(({ folder, path }) => {
      const slug = path.slice('packages/'.length);
      const count = checksOf[slug];
      if (count === undefined) {
        const message = 'has no entry in tools/lint/src/sheet-checks.ts: how many checks has its specification?';
        return [{ place: path, message }];
      }
      const named = new Set(textsOf(folder).flatMap(checkNumbers));
      const missing = Array.from({ length: count }, (_, index) => index + 1).filter((number) => !named.has(number));
      return missing.map((number) => ({
        place: path,
        message: `no test is named "check ${number}" of ${count}, and the README does not mention it`,
      }));
    });
}

function textsOf(folder: string): string[] {
  const tests = join(folder, 'test');
  const files = existsSync(tests)
    ? readdirSync(tests, { recursive: true, encoding: 'utf8' })
        .filter((file) => file.endsWith('.ts'))
        .map((file) => join(tests, file))
    : [];
  const readme = join(folder, 'README.md');
  return [...files, ...(existsSync(readme) ? [readme] : [])].map((file) => readFileSync(file, 'utf8'));
}

function checkNumbers(text: string): number[] {
  return [...text.matchAll(mention)].flatMap(([, list = '']) => {
    const numbers = list.match(/\d+/g)?.map(Number) ?? [];
    const [from = 0, to = 0] = numbers;
    return list.includes('to') ? Array.from({ length: to - from + 1 }, (_, index) => from + index) : numbers;
  });
}
