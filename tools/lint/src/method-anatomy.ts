import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Finding, WorkspacePackage } from './workspace-package.ts';

/** Releases of core below 1.0 keep what methods use. */
const coreRange = 'workspace:>=0.0.0 <1.0.0';

const requiredFiles = [
  'README.md',
  'tsconfig.json',
  'tsconfig.build.json',
  'src/index.ts',
  'src/options.ts',
  'src/reference.ts',
  'bench/index.ts',
];

/** What a method's README tells, and the heading or block that shows it. */
const readmeParts: readonly (readonly [string, RegExp])[] = [
  ['a runnable example (a `ts` block)', /^```(?:ts|typescript)$/m],
  ['the options (a heading with "options")', /^##+ .*options/im],
  ['the cost formula (a heading with "cost")', /^##+ .*cost/im],
  ['results (a heading with "measured" or "results")', /^##+ .*(?:measured|results)/im],
  ['its limits (a heading with "when not to use")', /^##+ .*when not to use/im],
  ['its faithfulness (a heading with "faithful")', /^##+ .*faithful/im],
  ['the citation (a heading with "citation")', /^##+ .*citation/im],
];

/** Every method package has the same parts under the same names; says what is missing. */
export function checkMethodAnatomy(packages: readonly WorkspacePackage[]): Finding[] {
  return packages
    .filter(({ role }) => role === 'method')
    .flatMap((owner) => [...missingFiles(owner), ...manifestFindings(owner), ...readmeFindings(owner)]);
}

function missingFiles({ folder, path }: WorkspacePackage): Finding[] {
  const missing = requiredFiles.filter((file) => !existsSync(join(folder, file)));
  const tests = existsSync(join(folder, 'test'))
    ? readdirSync(join(folder, 'test'), { recursive: true, encoding: 'utf8' })
    : [];
  if (!tests.some((file) => file.endsWith('.test.ts'))) missing.push('test/*.test.ts');
  return missing.map((file) => ({ place: path, message: `${file} is missing` }));
}

function manifestFindings({ path, manifest }: WorkspacePackage): Finding[] {
  const published = JSON.stringify(manifest.publishConfig?.exports ?? {});
  const rules: readonly (readonly [boolean, string])[] = [
    [manifest.type === 'module', '"type" must be "module"'],
    [manifest.sideEffects === false, '"sideEffects" must be false'],
    [manifest.files?.includes('dist') === true, '"files" must contain "dist"'],
    [
      manifest.peerDependencies?.['@saccade/core'] === coreRange,
      `@saccade/core must be a peer dependency, ${coreRange}: a minor of core is no new major of every method`,
    ],
    [manifest.exports?.['./bench'] !== undefined, '"exports" must have "./bench" for the workspace'],
    [
      JSON.stringify(manifest.exports?.['.'] ?? '').includes('@saccade/source'),
      '"exports" must lead to src under "@saccade/source"',
    ],
    [published !== '{}', '"publishConfig.exports" is missing'],
    [!published.includes('@saccade/source'), '"publishConfig.exports" must drop "@saccade/source"'],
    [!published.includes('bench'), '"publishConfig.exports" must drop "./bench"'],
  ];
  return rules.flatMap(([holds, message]) => (holds ? [] : [{ place: `${path}/package.json`, message }]));
}

function readmeFindings({ folder, path }: WorkspacePackage): Finding[] {
  const file = join(folder, 'README.md');
  if (!existsSync(file)) return [];
  const text = readFileSync(file, 'utf8');
  return readmeParts.flatMap(([part, shown]) =>
    shown.test(text) ? [] : [{ place: `${path}/README.md`, message: `does not tell ${part}` }],
  );
}
