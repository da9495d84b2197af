import {
  accumulatedMass,
  denoisingStripes,
  denoisingWindow,
  lastWindow,
  layerTopK,
  randomTokens,
  sinksRecent,
  windowReuse,
} from './baselines/index.ts';
import { methods } from './methods.ts';
import { gemma3 } from './models/gemma3.ts';
import { persuasionBytes } from './models/persuasion-bytes.ts';
import { persuasionDiffusion } from './models/persuasion-diffusion.ts';
import { scenes } from './models/scenes.ts';
import { shapesDit } from './models/shapes-dit.ts';
import { smollm2 } from './models/smollm2.ts';
import { smolvlm } from './models/smolvlm.ts';
import type { RegistryContent } from './registry.ts';
import {
  attentionDecode,
  attentionListDensity,
  attentionPrefill,
  attentionTopK,
  basedLength,
  diffusionAttention,
  diffusionImage,
  diffusionText,
  flashAttention2Length,
  gnaSimulator,
  gnaSpeed,
  hylraPolicy,
  languageDecode,
  languageMemory,
  languageNeedle,
  languagePerplexity,
  languageRecall,
  tidalDecodeReselection,
  trainingMqar,
  trainingMqarFigure2,
  trainingStep,
  visionCost,
  visionDescribe,
  visionExistence,
  visionHard,
} from './scenarios/index.ts';

/** What runs in Node and in browsers. A new scenario, baseline or model is one line here; methods stand in `methods.ts`. */
export const sharedCatalog: RegistryContent = {
  scenarios: [
    languagePerplexity,
    languageMemory,
    languageNeedle,
    languageRecall,
    languageDecode,
    attentionDecode,
    attentionListDensity,
    attentionTopK,
    basedLength,
    attentionPrefill,
    diffusionAttention,
    flashAttention2Length,
    trainingStep,
    tidalDecodeReselection,
    trainingMqar,
    trainingMqarFigure2,
    hylraPolicy,
    diffusionText,
    diffusionImage,
    gnaSimulator,
    gnaSpeed,
    visionExistence,
    visionDescribe,
    visionHard,
    visionCost,
  ],
  methods: [
    ...methods,
    randomTokens,
    sinksRecent,
    accumulatedMass,
    lastWindow,
    layerTopK,
    denoisingWindow,
    denoisingStripes,
    windowReuse,
  ],
  models: [smollm2, gemma3, persuasionBytes, persuasionDiffusion, shapesDit, scenes, smolvlm],
};
