import { expect, it } from 'vitest';
import { checkDependencyDirection } from '../src/dependency-direction.ts';
import { workspacePackages } from '../src/workspace-package.ts';
import { manifest, workspaceWith } from './workspace-fixture.ts';

const packages = {
  'packages/core/package.json': manifest('core'),
  'packages/models/package.json': manifest('models'),
  'packages/alpha/package.json': manifest('alpha'),
  'packages/beta/package.json': manifest('beta'),
  'apps/bench/package.json': manifest('bench'),
  'tools/gpu-runner/package.json': manifest('gpu-runner'),
  'tools/private/package.json': manifest('private', { private: true }),
};

function findings(files: Readonly<Record<string, string>>): string[] {
  const found = checkDependencyDirection(workspacePackages(workspaceWith({ ...packages, ...files })));
  return found.map(({ place, message }) => `${place} ${message}`);
}

it('accepts imports along the direction', () => {
  expect(
    findings({
      'packages/core/src/index.ts': "import { a } from './a.ts';\nimport { b } from 'node:fs';",
      'packages/models/src/index.ts': "export { openGpu } from '@saccade/core';",
      'packages/alpha/src/index.ts': "import { attention } from '@saccade/core/attention';",
      'packages/alpha/test/a.test.ts': "import { load } from '@saccade/models';\nimport { beta } from '@saccade/beta';",
      'packages/core/test/a.test.ts': "import { encode } from '@saccade/private';",
      'packages/alpha/bench/index.ts':
        "import type { Scenario } from '@saccade/core';\nimport { alpha } from '../src/index.ts';",
      'apps/bench/src/main.ts':
        "import '@saccade/core';\nimport '@saccade/alpha/bench';\nimport '@saccade/gpu-runner';",
    }),
  ).toEqual([]);
});

it.each([
  ['core -> models', 'packages/core/src/index.ts', "import { load } from '@saccade/models';"],
  ['core test -> method', 'packages/core/test/a.test.ts', "import { alpha } from '@saccade/alpha';"],
  ['models -> method, types too', 'packages/models/src/index.ts', "import type { Alpha } from '@saccade/alpha';"],
  ['method -> models', 'packages/alpha/src/index.ts', "import { load } from '@saccade/models';"],
  ['method -> method, re-exported', 'packages/alpha/src/index.ts', "export * from '@saccade/beta';"],
  ['method -> app, dynamic', 'packages/alpha/src/index.ts', "const bench = await import('@saccade/bench');"],
  [
    'method -> models over several lines',
    'packages/alpha/src/index.ts',
    "import {\n  load,\n} from '@saccade/models';",
  ],
  ['bench takes a value', 'packages/alpha/bench/index.ts', "import { openGpu, type Gpu } from '@saccade/core';"],
  ['core -> private tool', 'packages/core/src/index.ts', "import { encode } from '@saccade/private';"],
  ['core test -> published tool', 'packages/core/test/a.test.ts', "import { cli } from '@saccade/gpu-runner';"],
  ['tool -> core', 'tools/gpu-runner/src/index.ts', "import { openGpu } from '@saccade/core';"],
  ['out of the package by path', 'packages/alpha/src/index.ts', "import { gpu } from '../../core/src/index.ts';"],
])('refuses %s', (_name, file, source) => {
  const found = findings({ [file]: `// first line\n${source}\n` });
  expect(found).toHaveLength(1);
  expect(found[0]).toContain(`${file}:2`);
});

it('refuses a dependency against the direction in package.json', () => {
  const found = findings({
    'packages/alpha/package.json': manifest('alpha', { dependencies: { '@saccade/models': '*' } }),
  });
  expect(found).toEqual([
    expect.stringContaining('packages/alpha/package.json @saccade/alpha must not depend on @saccade/models'),
  ]);
});

it('does not take comments and strings for imports', () => {
  expect(
    findings({
      'packages/core/src/index.ts':
        "// import { a } from '@saccade/models';\n/* export * from '@saccade/models' */\nconst text = \"import '@saccade/models'\";",
    }),
  ).toEqual([]);
});
