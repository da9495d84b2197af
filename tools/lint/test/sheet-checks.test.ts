import { expect, it } from 'vitest';
import { checkLicences } from '../src/licences.ts';
import { checkSheetChecks } from '../src/sheet-checks.ts';
import { workspacePackages } from '../src/workspace-package.ts';
import { manifest, workspaceWith } from './workspace-fixture.ts';

function findings(files: Readonly<Record<string, string>>): string[] {
  return checkSheetChecks(workspacePackages(workspaceWith(files))).map(({ place, message }) => `${place} ${message}`);
}

const gift = {
  'packages/gift/package.json': manifest('gift', { saccade: { checks: 6 } }),
  'packages/gift/test/a.test.ts': "it('check 1: nothing changes'); describe('checks 2, 3 and 4: sums');",
  'packages/gift/test/kernels/b.test.ts': "it('check 6: the same tokens');",
};

it('accepts checks that tests name or the README explains', () => {
  const readme = { 'packages/gift/README.md': 'Check 5 needs a released checkpoint.' };
  expect(findings({ ...gift, ...readme, 'packages/core/package.json': manifest('core') })).toEqual([]);
});

it('reads ranges', () => {
  expect(findings({ ...gift, 'packages/gift/README.md': 'Checks 4 to 5 are weaker.' })).toEqual([]);
});

it('names the check that no test and no README mentions', () => {
  expect(findings(gift)).toEqual(['packages/gift no test is named "check 5" of 6, and the README does not mention it']);
});

it.each([{}, { saccade: {} }, { saccade: { checks: 0 } }, { saccade: { checks: '6' } }])(
  'asks how many there are: %j',
  (fields) => {
    expect(findings({ 'packages/new-one/package.json': manifest('new-one', fields) })).toEqual([
      'packages/new-one/package.json must say how many numbered checks the method has: "saccade": { "checks": 4 }',
    ]);
  },
);

it('names packages of another licence', () => {
  const packages = workspacePackages(
    workspaceWith({
      'packages/a/package.json': manifest('a', { license: 'MIT' }),
      'packages/b/package.json': manifest('b'),
    }),
  );
  expect(checkLicences(packages)).toEqual([{ place: 'packages/b/package.json', message: '"license" must be "MIT"' }]);
});
