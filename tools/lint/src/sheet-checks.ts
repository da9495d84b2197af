import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Finding, WorkspacePackage } from './workspace-package.ts';

const mention = /\bchecks?\s+(\d+(?:(?:,\s*|\s+and\s+|\s+to\s+)\d+)*)/gi;

/**
 * Every check of a method's specification is a test by its number, or the README says by its number why not. How many there are
 * is in the package's own manifest: `"saccade": { "checks": 9 }`.
 */
export function checkSheetChecks(packages: readonly WorkspacePackage[]): Finding[] {
  return packages
    .filter(({ role }) => role === 'method')
    .flatMap(({ folder, path, manifest }) => {
      const count = manifest.saccade?.checks;
      if (typeof count !== 'number' || !Number.isInteger(count) || count < 1) {
        const message = 'must say how many numbered checks the method has: "saccade": { "checks": 4 }';
        return [{ place: `${path}/package.json`, message }];
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
