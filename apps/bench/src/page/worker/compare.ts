import { type GivenOptions, type ModelHandle, type OptionSchema, optionsFromText, RefusedError } from '@saccade/core';
import { LanguageModel, MaskedDiffusionModel, VisionLanguageModel } from '@saccade/models';
import type { HostImage } from '../../measure/image-quality.ts';
import { type MethodRequest, variantsOf } from '../../method-request.ts';
import type { Registry } from '../../registry.ts';
import type { ResultRow } from '../../result-file/types.ts';
import { failedMeasurement, type Identity } from '../../run-scenario.ts';
import type { Measured, Variant } from '../../scenario.ts';
import { PipelineModel } from '../../scenarios/diffusion/pipeline-model.ts';
import { ownTasks } from '../own-tasks.ts';
import type { CompareRequest, MethodChoice } from '../protocol.ts';
import { drawImage } from './draw-image.ts';
import { explain } from './explain.ts';
import { fillText } from './fill-text.ts';
import { methodPrompt } from './prompt.ts';
import type { Side, SideResult } from './side.ts';
import { writeText } from './write-text.ts';

/** A choice of the page as a request of the bench. @throws OptionError */
export function requestOf({ name, options }: MethodChoice, registry: Registry): MethodRequest {
  const entry = registry.method(name);
  return { entry, given: optionsFromText(entry.options as OptionSchema, options) as GivenOptions<OptionSchema> };
}

/**
 * Runs an own prompt dense and then with each method, and reports a row for each. A method that is refused or fails does not
 * end the others.
 */
export async function compare(
  model: ModelHandle,
  modelName: string,
  registry: Registry,
  { request, signal, report }: Pick<Side, 'request' | 'signal' | 'report'>,
): Promise<void> {
  const { contextLength, grid } = await contextOf(model, request);
  const choices = [{ name: 'dense', options: '', budget: 1 }, ...request.methods];
  const variants = choices.map(
    (choice) => variantsOf(requestOf(choice, registry), [choice.budget], contextLength, grid)[0] as Variant,
  );
  report({ type: 'sides', titles: variants.map((variant, side) => titleOf(variant, choices, side)) });
  let dense: unknown;
  let denseMs: number | undefined;
  for (const [side, variant] of variants.entries()) {
    signal.throwIfAborted();
    report({ type: 'side', side });
    const place = { side, variant, model, request, signal, report };
    const identity = {
      scenario: scenarioOf(model),
      model: modelName,
      method: variant.entry.name,
      options: { ...variant.options, contextLength },
      baseline: side === 0 ? null : 'dense',
      seed: request.seed,
      budget: variant.budget === 1 && side === 0 ? null : variant.budget,
    };
    try {
      const { measured, result } = await runSide(place, dense);
      if (side === 0) [dense, denseMs] = [result, stepTime(measured)];
      const speedup = side > 0 && denseMs ? { speedup: denseMs / (stepTime(measured) ?? denseMs) } : {};
      const row = { ...identity, ...completed(measured) };
      report({ type: 'row', side, row: { ...row, speed: { ...row.speed, ...speedup } } });
    } catch (error) {
      if (signal.aborted) throw error;
      const trouble = explain(error);
      // Without the device, or without the dense run, there is nothing to go on with.
      if (side === 0 || trouble.kind === 'device-lost') throw error;
      report({ type: 'trouble', side, trouble });
      report({ type: 'row', side, row: { ...identity, ...failedMeasurement(error) } });
    }
  }
}

/** A method's title; with its budget and options where it runs twice. */
function titleOf({ entry }: Variant, choices: readonly MethodChoice[], side: number): string {
  const { name, options, budget } = choices[side] as MethodChoice;
  if (choices.filter((choice) => choice.name === name).length < 2) return entry.title;
  return [entry.title, ...(entry.atBudget ? [`${Math.round(budget * 100)}%`] : []), ...(options ? [options] : [])].join(
    ', ',
  );
}

/** Milliseconds per token or step. */
function stepTime({ speed }: Measured): number | undefined {
  return (speed.decodeMsPerToken ?? speed.stepMs)?.median;
}

function runSide(side: Side, dense: unknown): Promise<SideResult<unknown>> {
  const { model } = side;
  if (model instanceof PipelineModel) return drawImage({ ...side, model }, dense as HostImage | undefined);
  if (model instanceof MaskedDiffusionModel)
    return fillText({ ...side, model }, dense as readonly number[] | undefined);
  if (model instanceof LanguageModel) return writeText({ ...side, model }, dense as readonly number[] | undefined);
  throw new RefusedError(`${model.facts.name} is of no kind that this page can run.`);
}

/** Tokens that the last step sees, those of images included, of which a budget is a share; and how they lie. */
async function contextOf(
  model: ModelHandle,
  request: CompareRequest,
): Promise<{ readonly contextLength: number; readonly grid?: readonly number[] }> {
  if (model instanceof PipelineModel) {
    const { network } = model.pipeline.model;
    const { height, width } = network.grid(network.sampleSize);
    return { contextLength: height * width, grid: [height, width] };
  }
  if (!(model instanceof VisionLanguageModel)) {
    return { contextLength: (model.tokenizer?.encode(request.prompt).length ?? 0) + request.tokens };
  }
  const encoded = await model.encode(methodPrompt(model, request));
  try {
    return { contextLength: encoded.ids.length + request.tokens };
  } finally {
    encoded.dispose();
  }
}

function scenarioOf(model: ModelHandle): string {
  if (model instanceof PipelineModel) return ownTasks.image.name;
  return model instanceof MaskedDiffusionModel ? ownTasks.fill.name : ownTasks.text.name;
}

function completed({ peak: _, speed, status = 'ok', ...measured }: Measured): Omit<ResultRow, Identity> {
  return { ...measured, speed, status };
}
