import { expect, it } from 'vitest';
import { create } from 'webgpu';
import { currentAdapter } from '../src/index.ts';

it('finds in a Vitest worker the adapter that the runner chose', async () => {
  const name = process.env.SACCADE_ADAPTER_NAME;
  const adapter = await create(name ? [`adapter=${name}`] : []).requestAdapter();
  expect(adapter?.info.description).toBe((await currentAdapter()).adapter.description);
});
