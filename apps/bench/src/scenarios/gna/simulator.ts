import { endToEndSpeedup, publishedSettings, simulate } from '@saccade/gna';
import type { Scenario } from '../../scenario.ts';

/** Simulates published settings; measures nothing. */
const simulatorEntry = {
  name: 'gna-simulator',
  title: 'GNA’s simulator',
  description: 'Counts the tiles that a neighbourhood visits; nothing runs.',
  paper: 'arXiv 2504.16922',
  role: 'method' as const,
  phases: ['denoise'] as const,
  options: {},
  create: () => undefined,
};

/** `gna/simulator`: the published simulations, again. */
export const gnaSimulator: Scenario = {
  name: 'gna/simulator',
  title: 'Published neighbourhoods, simulated',
  description:
    'The settings of the GNA paper with its shapes of tiles: density is the share of the tiles of keys that the busiest tile of queries visits, the speed-up that of a whole ' +
    'denoising step (attention’s published share of it), and the relative error its distance from the published figure. Nothing is timed.',
  needs: 'none',
  phases: ['denoise'],
  ownMethods: [simulatorEntry],
  telling: ['simulated', 'stride'],
  lengths: { full: [1], quick: [1] },
  budgets: { full: [1], quick: [1] },
  repeats: { full: 1, quick: 1 },
  async *run(context) {
    const variants = context.variants(1).filter(({ entry }) => entry.name === simulatorEntry.name);
    context.progress.total(publishedSettings.length);
    for (const variant of variants) {
      for (const { model, endToEnd, attentionShare, tilesStated, ...setting } of publishedSettings) {
        const { layout, window, stride, queryTile, keyTile } = setting;
        const extra = {
          simulated: model,
          ...{ layout, window, stride, queryTile, keyTile },
          tilesStated,
          published: endToEnd,
        };
        yield await context.measure(variant, extra, async () => {
          const { keyTilesTotal, keyTilesVisitedMax, tileSpeedup } = simulate(layout, setting);
          const speedup = endToEndSpeedup(attentionShare, tileSpeedup);
          return {
            samples: 1,
            density: keyTilesVisitedMax / keyTilesTotal,
            quality: { relativeError: Math.abs(speedup - endToEnd) / endToEnd },
            speed: { speedup },
            memory: {},
          };
        });
        context.progress.advance(1, `${model}, stride ${stride.join('x')}`);
      }
    }
  },
};
