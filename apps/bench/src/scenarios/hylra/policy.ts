import { layerOverlap } from '@saccade/core';
import {
  fullLayers,
  hylra,
  type LayerPolicy,
  type LayerProfile,
  leastOverlap,
  pathSimilarity,
  profileLayers,
} from '@saccade/hylra';
import { hylraEntry } from '@saccade/hylra/bench';
import type { LanguageModel } from '@saccade/models';
import type { Scenario, ScenarioContext, Variant } from '../../scenario.ts';
import { calibrationTexts } from '../language/calibration-texts.ts';
import { languageModel } from '../language/language-model.ts';
import { preparePassages } from '../language/passages.ts';
import { PassageScorer } from '../language/score-passages.ts';
import { type Candidate, candidates } from './candidates.ts';

/** Calibration of the profile, what policies are scored on, and how many full layers they may have: L over these. */
const settings = {
  full: { texts: 8, textTokens: 1024, continuation: 32, intervals: [2, 3, 5], divergence: true },
  quick: { texts: 2, textTokens: 384, continuation: 12, intervals: [3], divergence: false },
} as const;

/** Heads that share a set of tokens: as published, and a finer choice. */
const groupings = ['allHeads', 'kvHead'] as const;

/** `hylra/policy`: the profile of a model, the policies searched from it, and what they keep of its quality. */
export const hylraPolicy: Scenario = {
  name: 'hylra/policy',
  title: 'HyLRA’s policies',
  description:
    'Overlaps of the layers’ own token sets are profiled on texts of the novel’s second volume (8 texts of 1,024 tokens; a quick run takes 2 of 384), ' +
    'and policies are searched: by threshold, by budget, and at even distances for comparison (options.search). Each decodes passages of the first ' +
    'volume; options.profiled and options.measured are the mean overlaps of reused sets in the dense profile and under the policy itself.',
  needs: 'language',
  phases: ['decode'],
  telling: ['search', 'selectionPer', 'fullLayers'],
  lengths: { full: [1024], quick: [384] },
  budgets: { full: [0.1], quick: [0.1] },
  repeats: { full: 4, quick: 1 },
  async *run(context) {
    const model = languageModel(context);
    const setting = context.quick ? settings.quick : settings.full;
    const texts = calibrationTexts(model, setting.texts, setting.textTokens);
    const runs = groupings.length * setting.intervals.length * 3;
    context.progress.total(context.lengths.length * context.budgets.length * (groupings.length * 100 + runs));
    for (const length of context.lengths) {
      for (const budget of context.budgets) yield* scorePolicies(context, texts, length, budget);
    }
  },
};

async function* scorePolicies(context: ScenarioContext, texts: readonly number[][], length: number, budget: number) {
  const model = languageModel(context);
  const { signal, progress } = context;
  const setting = context.quick ? settings.quick : settings.full;
  const topK = Math.max(1, Math.round(budget * length));
  const profiles: LayerProfile[] = [];
  for (const per of groupings) {
    let done = 0;
    const onProgress = (share: number) => {
      progress.advance(100 * share - done, `profile, sets per ${per}`);
      done = 100 * share;
    };
    const { divergence } = setting;
    profiles.push(await profileLayers(model, texts, { topK, per, divergence, signal, onProgress }));
  }
  const passages = await preparePassages(model, {
    count: context.repeats,
    length,
    continuation: setting.continuation,
    signal,
    onPassage: () => progress.advance(0, `context of ${length} tokens`),
  });
  try {
    const scorer = new PassageScorer(model, passages, context.seed);
    const dense = context.variants(length)[0] as Variant;
    yield await context.measure(dense, { contextLength: length }, () => scorer.measure(dense.create, signal));
    for (const [index, selectionPer] of groupings.entries()) {
      const profile = profiles[index] as LayerProfile;
      for (const candidate of candidates(profile, setting.intervals)) {
        const { policy, search, theta } = candidate;
        const options = { topK, policy, selectionPer, phases: ['decode' as const] };
        const create = () => hylra(options);
        const variant: Variant = { entry: hylraEntry, options: create().options, budget, create };
        const extra = {
          contextLength: length,
          search,
          ...(theta === undefined ? {} : { theta }),
          fullLayers: fullLayers(policy).length,
          ...(await overlaps(model, texts.slice(0, 1), profile, options)),
        };
        yield await context.measure(variant, extra, () => scorer.measure(create, signal));
        progress.advance(1, `${search}, ${fullLayers(policy).length} full layers, sets per ${selectionPer}`);
      }
      showProfile(context, profile, selectionPer, candidates(profile, [3]));
    }
  } finally {
    for (const { prompt } of passages) prompt.dispose();
  }
}

/** Mean and least overlap of the sets that a policy reuses: in the profile, and in a run under the policy. */
async function overlaps(
  model: LanguageModel,
  texts: readonly number[][],
  profile: LayerProfile,
  options: { readonly topK: number; readonly policy: LayerPolicy; readonly selectionPer: 'allHeads' | 'kvHead' },
) {
  const { policy, topK, selectionPer } = options;
  const reused = policy.length - fullLayers(policy).length;
  const mean = (overlap: Float32Array) =>
    reused === 0 ? 1 : (pathSimilarity(policy, overlap) - fullLayers(policy).length) / reused;
  const rule = { topK, per: selectionPer, forceNewest: 1 };
  const measured = await layerOverlap(model, texts, { ...rule, method: hylra({ ...options, phases: ['decode'] }) });
  const round = (value: number) => Number(value.toFixed(3));
  return {
    profiled: round(mean(profile.overlap)),
    measured: round(mean(measured.overlap)),
    least: round(leastOverlap(policy, profile.overlap)),
  };
}

/** The matrix of overlaps, with the path of the threshold policy outlined. */
function showProfile(
  context: ScenarioContext,
  { layers, overlap }: LayerProfile,
  selectionPer: string,
  found: readonly Candidate[],
): void {
  const { policy } = found[0] as Candidate;
  context.picture({
    title: `Overlap of the layers’ token sets, ${selectionPer === 'allHeads' ? 'one set for all heads' : 'a set per key/value head'}`,
    caption:
      `Share of layer j’s own tokens (column) that layer i’s set (row) holds. Outlined: the path of the threshold policy with ` +
      `${fullLayers(policy).length} full layers, which stand on the diagonal.`,
    xLabel: 'Layer whose tokens are wanted',
    yLabel: 'Layer whose tokens are handed on',
    values: Array.from({ length: layers }, (_, row) =>
      Array.from({ length: layers }, (__, column) =>
        column < row ? null : (overlap[row * layers + column] as number),
      ),
    ),
    marks: policy.map((source, layer) => [source < 0 ? layer : source, layer] as const),
  });
}
