import { SaccadeError } from '@saccade/core';
import { type LanguageModel, MaskedDiffusionModel, perplexity } from '@saccade/models';
import { loadTinyModel, persuasionBytes } from '@saccade/tiny-models';
import { evaluationText } from '../../data/text.ts';
import { DenoisingDensity } from '../../measure/denoising-density.ts';
import { interleave, speedup } from '../../measure/interleave.ts';
import type { ResultRow } from '../../result-file/types.ts';
import type { Scenario, ScenarioContext, Variant } from '../../scenario.ts';

/** Tokens that each run writes, all at once, and in how many steps. */
const written = { full: { length: 64, steps: 32 }, quick: { length: 32, steps: 16 } } as const;

/** `diffusion/text`: a masked-diffusion language model continues passages of a novel. */
export const diffusionText: Scenario = {
  name: 'diffusion/text',
  title: 'Text by masked diffusion',
  description:
    'Passages of Persuasion (Jane Austen) are continued by filling in masked tokens, two a step; the context counts prompt and continuation. ' +
    'Agreement is the share of tokens that equal those of the dense run from the same seed, perplexity that of the continuation under the ' +
    'autoregressive persuasion-bytes. Methods are run in turn; a repeat is a passage, and the time of a step is the mean over its run.',
  needs: 'masked-diffusion',
  phases: ['denoise'],
  lengths: { full: [256, 512, 1024], quick: [256] },
  budgets: { full: [0.1, 0.25, 0.5], quick: [0.25] },
  repeats: { full: 4, quick: 2 },
  async *run(context) {
    const { model } = context;
    if (!(model instanceof MaskedDiffusionModel)) {
      throw new SaccadeError('wrong-model', `${model.facts.name} is not a masked-diffusion language model.`);
    }
    const judge = await loadTinyModel(context.gpu, persuasionBytes, { signal: context.signal });
    try {
      for (const length of context.lengths) yield* measureLength(context, model, judge, length);
    } finally {
      judge.dispose();
    }
  },
};

/** What the runs of a variant have written. */
interface Written {
  readonly variant: Variant;
  readonly texts: (readonly number[])[];
  density: number | null;
  refusal: ResultRow | undefined;
}

async function* measureLength(
  context: ScenarioContext,
  model: MaskedDiffusionModel,
  judge: LanguageModel,
  length: number,
): AsyncGenerator<ResultRow> {
  const { gpu, repeats, signal, seed } = context;
  const sizes = context.quick ? written.quick : written.full;
  const prompts = passages(model, repeats, length - sizes.length);
  const runs = context
    .variants(length)
    .map((variant): Written => ({ variant, texts: [], density: null, refusal: undefined }));
  context.progress.total(runs.length * (repeats + 1));
  // One run each finds out what is refused, compiles the kernels and counts the keys.
  for (const run of runs) {
    context.progress.advance(1, `${run.variant.entry.name}, ${length} tokens`);
    const row = await context.measure(run.variant, { contextLength: length }, async () => {
      const meter = new DenoisingDensity();
      const method = meter.around(run.variant.create());
      await model.denoise(prompts[0] as number[], { ...sizes, method, seed, signal });
      run.density = await meter.density(gpu);
      return { samples: 0, density: null, quality: {}, speed: {}, memory: {} };
    });
    if (row.status !== 'ok') run.refusal = row;
  }
  for (const { refusal } of runs) if (refusal) yield refusal;
  const able = runs.filter(({ refusal }) => refusal === undefined);
  const [dense] = able;
  if (!dense) return;
  const times = await interleave(
    able.map((run, index) => ({
      name: `${index}`,
      run: async () => {
        const prompt = prompts[run.texts.length] as number[];
        const method = run.variant.create();
        const start = performance.now();
        const { ids } = await model.denoise(prompt, { ...sizes, method, seed: seed + run.texts.length, signal });
        run.texts.push(ids);
        context.progress.advance(1, `${run.variant.entry.name}, ${length} tokens`);
        return (performance.now() - start) / sizes.steps;
      },
    })),
    { rounds: repeats, warmUp: 0, signal },
  );
  const denseTimes = times.get('0');
  for (const [index, run] of able.entries()) {
    const own = times.get(`${index}`);
    if (!own || !denseTimes) continue;
    yield await context.measure(run.variant, { contextLength: length, steps: sizes.steps }, async () => ({
      samples: repeats * sizes.length,
      density: run.density,
      quality: {
        agreement: agreement(run.texts, dense.texts),
        perplexity: await judged(judge, model, prompts, run.texts),
      },
      speed: { stepMs: own.summary, ...(run === dense ? {} : { speedup: speedup(denseTimes, own) }) },
      memory: {},
    }));
  }
}

/** Prompts spread evenly over the evaluation text. */
function passages(model: MaskedDiffusionModel, count: number, length: number): number[][] {
  const ids = model.tokenizer.encode(evaluationText());
  const stride = Math.floor((ids.length - length) / count);
  return Array.from({ length: count }, (_, index) => ids.slice(index * stride, index * stride + length));
}

function agreement(texts: readonly (readonly number[])[], dense: readonly (readonly number[])[]): number {
  const equal = texts.flatMap((ids, text) => ids.map((id, at) => Number(id === dense[text]?.[at])));
  return equal.reduce((sum, same) => sum + same, 0) / equal.length;
}

/** Perplexity of the continuations behind their prompts, per byte, under an autoregressive byte model. */
async function judged(
  judge: LanguageModel,
  model: MaskedDiffusionModel,
  prompts: readonly (readonly number[])[],
  texts: readonly (readonly number[])[],
): Promise<number> {
  const losses: number[] = [];
  for (const [index, ids] of texts.entries()) {
    const read = (tokens: readonly number[]) => judge.tokenizer.encode(model.tokenizer.decode(tokens));
    const [prompt, continuation] = [read(prompts[index] as readonly number[]), read(ids)];
    const score = await perplexity(judge, [...prompt, ...continuation]);
    losses.push(...score.losses.slice(prompt.length - 1));
  }
  return Math.exp(losses.reduce((sum, loss) => sum + loss, 0) / losses.length);
}
