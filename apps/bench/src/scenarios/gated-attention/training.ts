import { parseOptions, studentInterval } from '@saccade/core';
import { gatedAttentionOptions, type ResolvedGatedAttentionOptions } from '@saccade/gated-attention';
import { gatedAttentionEntry } from '@saccade/gated-attention/bench';
import type { Quality } from '../../result-file/types.ts';
import type { Measured, Scenario, ScenarioContext, Variant } from '../../scenario.ts';
import { gatedModel, gateName } from './gated-model.ts';
import { type Measurement, measureModel } from './measure-model.ts';
import { type Preset, presets } from './presets.ts';
import { trainModel } from './train-model.ts';
import { WeightFiles } from './weight-files.ts';

/** `training/gated-attention`: what a gate changes in models that are trained with it. */
export const gatedAttentionTraining: Scenario = {
  name: 'training/gated-attention',
  title: 'Models trained with and without a gate on attention',
  description:
    'Small language models of equal parameters are trained from the same seeds on the same batches: on a novel byte by byte, and on a Markov chain with a ' +
    'copying rule, on which attention sinks were studied (options.task). Repeats are seeds, with Student’s interval; rows whose options.values are differences ' +
    'have the gated minus the ungated model, seed by seed. Longer contexts than the trained one go through YaRN, and degradation is their loss minus that of ' +
    'the trained length. Trained weights are kept in the cache folder; a run that is stopped goes on where it was.',
  needs: 'none',
  phases: ['prefill'],
  ownMethods: [gatedAttentionEntry],
  telling: ['task', 'values', 'position', 'granularity', 'headSpecific', 'mode', 'activation', 'source'],
  lengths: { full: [256, 512, 1024], quick: [64, 128] },
  budgets: { full: [1], quick: [1] },
  repeats: { full: 3, quick: 1 },
  async *run(context) {
    const chosen = presets(context.quick);
    const variants = context.variants(context.lengths[0] as number);
    const runs = chosen.length * variants.length * context.repeats;
    context.progress.total(runs * 100);
    for (const preset of chosen) yield* measurePreset(context, preset, variants);
  },
};

/** By length, of each seed. */
type Measurements = ReadonlyMap<number, readonly Measurement[]>;

async function* measurePreset(context: ScenarioContext, preset: Preset, variants: readonly Variant[]) {
  let dense: Measurements | undefined;
  const [first = 1] = context.lengths;
  const lengths = context.lengths.map((length) => Math.round((preset.config.contextLength * length) / first));
  for (const variant of variants) {
    let measured: Measurements | undefined;
    const failed = await context.measure(variant, { task: preset.task.name, contextLength: lengths[0] }, async () => {
      measured = await trainAndMeasure(context, preset, variant, lengths);
      return completed({}, 0);
    });
    if (!measured) {
      yield failed;
      continue;
    }
    const own = measured;
    for (const length of lengths) {
      const extra = { task: preset.task.name, contextLength: length };
      yield await context.measure(variant, { ...extra, values: 'means' }, async () => means(own, lengths, length));
      const against = dense;
      if (!against) continue;
      yield await context.measure(variant, { ...extra, values: 'differences' }, async () =>
        differences(own, against, lengths, length),
      );
    }
    dense ??= own;
  }
}

async function trainAndMeasure(
  context: ScenarioContext,
  preset: Preset,
  variant: Variant,
  lengths: readonly number[],
): Promise<Measurements> {
  const { gpu, signal, progress } = context;
  const options = gateOptions(variant);
  const found = new Map<number, Measurement[]>(lengths.map((length) => [length, []]));
  for (let repeat = 0; repeat < context.repeats; repeat++) {
    const seed = context.seed + repeat + 1;
    const trained = gatedModel(gpu, preset, options, seed);
    try {
      let shown = 0;
      const onStep = (step: number) => {
        const done = Math.floor((90 * step) / preset.steps);
        progress.advance(done - shown, `${preset.name}, ${gateName(options)}, seed ${seed}`);
        shown = done;
      };
      const files = new WeightFiles(preset.name, gateName(options), seed);
      await trainModel(trained, { gpu, preset, seed, files, signal, onStep });
      for (const length of lengths) {
        signal.throwIfAborted();
        found.get(length)?.push(await measureModel(gpu, trained, preset, length));
        progress.advance(10 / lengths.length, `measuring ${length} tokens`);
      }
    } finally {
      trained.model.dispose();
    }
  }
  return found;
}

function gateOptions(variant: Variant): ResolvedGatedAttentionOptions {
  const given = variant.entry.name === 'dense' ? { source: 'none' as const } : variant.options;
  return parseOptions(gatedAttentionOptions, given);
}

/** Numbers of one seed at one length. */
function qualities(measured: Measurements, lengths: readonly number[], length: number): Record<string, number>[] {
  const trained = measured.get(lengths[0] as number) ?? [];
  return (measured.get(length) ?? []).map(({ loss, firstTokenMass, meanGate }, seed) => ({
    loss,
    firstTokenMass: mean(firstTokenMass),
    ...(meanGate ? { meanGate: mean(meanGate) } : {}),
    ...(length === lengths[0] ? {} : { degradation: loss - (trained[seed] as Measurement).loss }),
  }));
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

function means(measured: Measurements, lengths: readonly number[], length: number): Measured {
  const seeds = qualities(measured, lengths, length);
  return completed(intervals(seeds), seeds.length);
}

/** Of each seed, minus the same of the model without a gate. */
function differences(own: Measurements, dense: Measurements, lengths: readonly number[], length: number): Measured {
  const others = qualities(dense, lengths, length);
  const seeds = qualities(own, lengths, length).map((values, seed) =>
    Object.fromEntries(
      Object.entries(values).flatMap(([name, value]) => {
        const other = others[seed]?.[name];
        return other === undefined ? [] : [[name, value - other]];
      }),
    ),
  );
  return completed(intervals(seeds), seeds.length);
}

function intervals(seeds: readonly Record<string, number>[]): Quality {
  const names = Object.keys(seeds[0] ?? {});
  return Object.fromEntries(
    names.map((name) => {
      const interval = studentInterval(seeds.map((values) => values[name] as number));
      return [name, seeds.length > 1 ? interval : interval.value];
    }),
  );
}

function completed(quality: Quality, samples: number): Measured {
  return { samples, density: null, quality, speed: {}, memory: {} };
}
