import { type LayerOverlap, layerOverlap } from '@saccade/core';
import { rankReselectionLayers, tidalDecode } from '@saccade/tidaldecode';
import { tidalDecodeEntry } from '@saccade/tidaldecode/bench';
import type { Measure, ResultRow } from '../../result-file/types.ts';
import type { Scenario, ScenarioContext, Variant } from '../../scenario.ts';
import { calibrationTexts } from '../language/calibration-texts.ts';
import { languageModel } from '../language/language-model.ts';
import { preparePassages } from '../language/passages.ts';
import { PassageScorer } from '../language/score-passages.ts';

const sparseLayerStart = 2;

/** Calibration of the profile, and what each layer is scored on. */
const settings = {
  full: { texts: 8, textTokens: 1024, continuation: 32, everyLayer: 1 },
  quick: { texts: 2, textTokens: 384, continuation: 12, everyLayer: 4 },
} as const;

/** `tidaldecode/reselection`: where the layer that the overlap profile recommends ranks among all admissible ones. */
export const tidalDecodeReselection: Scenario = {
  name: 'tidaldecode/reselection',
  title: 'TidalDecode’s re-selection layer',
  description:
    'Layer overlap is profiled on texts of the novel’s second volume (8 texts of 1,024 tokens; a quick run takes 2 of 384 and every fourth ' +
    'layer) and recommends a re-selection layer. Every admissible layer is then scored on the first volume at the same budget; options.rank ' +
    'counts from the lowest KL divergence, options.recommended marks the recommendation.',
  needs: 'language',
  phases: ['decode'],
  lengths: { full: [1024], quick: [384] },
  budgets: { full: [0.05], quick: [0.05] },
  repeats: { full: 2, quick: 1 },
  async *run(context) {
    const model = languageModel(context);
    const setting = context.quick ? settings.quick : settings.full;
    const texts = calibrationTexts(model, setting.texts, setting.textTokens);
    context.progress.total(model.facts.layers + setting.texts);
    for (const length of context.lengths) {
      for (const budget of context.budgets) {
        const topK = Math.max(1, Math.round(budget * length));
        const profile = await layerOverlap(model, texts, { topK, signal: context.signal });
        context.progress.advance(setting.texts, 'profile of the layers');
        yield* scoreLayers(context, profile, length, budget, topK);
      }
    }
  },
};

async function* scoreLayers(
  context: ScenarioContext,
  profile: LayerOverlap,
  length: number,
  budget: number,
  topK: number,
): AsyncGenerator<ResultRow> {
  const model = languageModel(context);
  const setting = context.quick ? settings.quick : settings.full;
  const ranking = rankReselectionLayers(profile, sparseLayerStart);
  const recommended = ranking[0]?.layer;
  const passages = await preparePassages(model, {
    count: context.repeats,
    length,
    continuation: setting.continuation,
    signal: context.signal,
    onPassage: () => context.progress.advance(0, `context of ${length} tokens`),
  });
  try {
    const scorer = new PassageScorer(model, passages, context.seed);
    const dense = context.variants(length)[0] as Variant;
    yield await context.measure(dense, { contextLength: length }, () => scorer.measure(dense.create, context.signal));
    const rows: ResultRow[] = [];
    for (const { layer, recall } of [...ranking].sort((a, b) => a.layer - b.layer)) {
      if ((layer - sparseLayerStart - 1) % setting.everyLayer !== 0 && layer !== recommended) continue;
      const options = { topK, sparseLayerStart, reselectionLayers: [layer] };
      const create = () => tidalDecode(options);
      const variant: Variant = { entry: tidalDecodeEntry, options: create().options, budget, create };
      const extra = { contextLength: length, expectedRecall: recall, recommended: layer === recommended };
      rows.push(await context.measure(variant, extra, () => scorer.measure(create, context.signal)));
      context.progress.advance(1, `layer ${layer}`);
    }
    const order = rows.map(divergence).sort((a, b) => a - b);
    for (const row of rows)
      yield { ...row, options: { ...row.options, rank: order.indexOf(divergence(row)) + 1, of: rows.length } };
  } finally {
    for (const { prompt } of passages) prompt.dispose();
  }
}

function divergence(row: ResultRow): number {
  const measure: Measure | undefined = row.quality.klToDense;
  return typeof measure === 'object' && 'value' in measure ? measure.value : Number.POSITIVE_INFINITY;
}
