import { modelFromPath } from './models/model-from-path.ts';
import { Registry } from './registry.ts';
import { gatedAttentionTraining } from './scenarios/gated-attention/training.ts';
import { languageFirstToken } from './scenarios/language/first-token.ts';
import { sharedCatalog } from './shared-catalog.ts';

/** What the command line can run: all of the shared catalog, and what needs processes or files of Node. */
export const catalog = new Registry({
  ...sharedCatalog,
  scenarios: [...sharedCatalog.scenarios, languageFirstToken, gatedAttentionTraining],
  modelFromPath,
});
