import { SaccadeError } from '@saccade/core';
import { LanguageModel } from '@saccade/models';
import type { ScenarioContext } from '../../scenario.ts';

/** The context's model as a language model. */
export function languageModel(context: ScenarioContext): LanguageModel {
  const { model } = context;
  if (!(model instanceof LanguageModel))
    throw new SaccadeError('wrong-model', `${model.facts.name} is not a language model.`);
  return model;
}
