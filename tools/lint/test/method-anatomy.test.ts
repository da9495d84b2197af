import { expect, it } from 'vitest';
import { checkMethodAnatomy } from '../src/method-anatomy.ts';
import { workspacePackages } from '../src/workspace-package.ts';
import { manifest, workspaceWith } from './workspace-fixture.ts';

const complete: Record<string, string> = {
  'packages/alpha/package.json': manifest('alpha', {
    sideEffects: false,
    files: ['dist', 'src'],
    exports: { '.': { '@saccade/source': './src/index.ts' }, './bench': { '@saccade/source': './bench/index.ts' } },
    publishConfig: { exports: { '.': { default: './dist/index.js' } } },
    peerDependencies: { '@saccade/core': 'workspace:>=0.0.0 <1.0.0' },
  }),
  'packages/alpha/README.md': [
    '# Alpha',
    '```ts',
    'run();',
    '```',
    '## Options',
    '## Cost',
    '## Measured and published results',
    '## When not to use it',
    '## How faithful it is',
    '## Citation',
  ].join('\n'),
  'packages/alpha/tsconfig.json': '{}',
  'packages/alpha/tsconfig.build.json': '{}',
  'packages/alpha/src/index.ts': '',
  'packages/alpha/src/options.ts': '',
  'packages/alpha/src/reference.ts': '',
  'packages/alpha/bench/index.ts': '',
  'packages/alpha/test/alpha.test.ts': '',
};

function findings(files: Readonly<Record<string, string>>): string[] {
  return checkMethodAnatomy(workspacePackages(workspaceWith(files))).map(({ place, message }) => `${place} ${message}`);
}

it('accepts a complete package, and asks nothing of core, apps and tools', () => {
  expect(
    findings({ ...complete, 'packages/core/package.json': manifest('core'), 'apps/a/package.json': manifest('a') }),
  ).toEqual([]);
});

it.each(Object.keys(complete).filter((file) => !file.endsWith('package.json')))('misses %s', (file) => {
  const { [file]: _left, ...rest } = complete;
  const name = file.replace('packages/alpha/', '').replace('alpha.test.ts', '*.test.ts');
  expect(findings(rest)).toEqual([`packages/alpha ${name} is missing`]);
});

it('names what a README does not tell', () => {
  const readme = complete['packages/alpha/README.md']?.replace('## Cost\n', '') ?? '';
  expect(findings({ ...complete, 'packages/alpha/README.md': readme })).toEqual([
    'packages/alpha/README.md does not tell the cost formula (a heading with "cost")',
  ]);
});

it('names what a package.json lacks', () => {
  const found = findings({ ...complete, 'packages/alpha/package.json': manifest('alpha') });
  expect(found).toContain('packages/alpha/package.json "sideEffects" must be false');
  expect(found.join()).toContain('packages/alpha/package.json @saccade/core must be a peer dependency');
});
