import { afterAll, it } from 'vitest';
import { createMethod } from '../src/create-method.ts';
import { checkPackage } from './check-package.ts';
import { TemporaryWorkspace } from './temporary-workspace.ts';

const workspace = new TemporaryWorkspace();
afterAll(() => workspace.dispose());

it('a new package builds, typechecks, lints, passes its tests and is in the bench', async () => {
  const { folder } = createMethod(workspace.root, 'key-sketch');
  workspace.install('key-sketch');
  await workspace.tool('biome', ['check', '--write', '--vcs-enabled=false', folder, 'apps/bench/src/methods.ts']);
  await checkPackage(workspace, 'key-sketch');
}, 180_000);
