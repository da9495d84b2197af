import { SaccadeError } from '@saccade/core';
import { VisionLanguageModel } from '@saccade/models';
import type { ScenarioContext } from '../../scenario.ts';

/** The context's model as one that sees. */
export function visionModel(context: ScenarioContext): VisionLanguageModel {
  const { model } = context;
  if (!(model instanceof VisionLanguageModel))
    throw new SaccadeError('wrong-model', `${model.facts.name} sees nothing.`);
  return model;
}

/** Tokens of a prompt of one image and a short question: what budgets are shares of. */
export const promptTokens = 80;
