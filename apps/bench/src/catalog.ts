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
import { modelFromPath } from './models/model-from-path.ts';
import { persuasionBytes } from './models/persuasion-bytes.ts';
import { persuasionDiffusion } from './models/persuasion-diffusion.ts';
import { shapesDit } from './models/shapes-dit.ts';
import { smollm2 } from './models/smollm2.ts';
import { smolvlm } from './models/smolvlm.ts';
import { Registry } from './registry.ts';
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
  gatedAttentionTraining,
  gnaSimulator,
  gnaSpeed,
  hylraPolicy,
  languageDecode,
  languageFirstToken,
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

/** What this bench can run. A new scenario, baseline or model is one line here; methods stand in `methods.ts`. */
export const catalog = new Registry({
  scenarios: [
    languagePerplexity,
    languageMemory,
    languageNeedle,
    languageRecall,
    languageDecode,
    languageFirstToken,
    attentionDecode,
    attentionListDensity,
    attentionTopK,
    basedLength,
    attentionPrefill,
    diffusionAttention,
    flashAttention2Length,
    trainingStep,
    gatedAttentionTraining,
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
  models: [smollm2, gemma3, persuasionBytes, persuasionDiffusion, shapesDit, smolvlm],
  modelFromPath,
});
