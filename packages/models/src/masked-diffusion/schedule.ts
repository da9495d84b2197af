import { type DenoisingSettings, isLlada } from './options.ts';

/** What a step does with the block that it works on. */
export interface UnmaskingStep {
  /** First token of the block, counted from the first one behind the prompt. */
  readonly start: number;
  /** How many tokens are written; undefined where each is by chance. */
  readonly count: number | undefined;
  /** The chance of each masked token to be written, where that is by chance. */
  readonly chance: number;
}

/** What is left of the noise at the end of Dream's times. */
const lastTime = 1e-3;

/** The steps of a run, block after block. */
export function unmaskingSteps(settings: DenoisingSettings): UnmaskingStep[] {
  const { length, blockLength, steps, algorithm } = settings;
  const blocks = length / blockLength;
  const plan = isLlada(algorithm) ? evenSteps : timedSteps;
  return Array.from({ length: blocks }, (_, block) =>
    plan(blockLength, steps / blocks).map((step) => ({
      start: block * blockLength,
      count: algorithm === 'origin' ? undefined : step.count,
      chance: step.chance,
    })),
  ).flat();
}

type BlockStep = { readonly count: number; readonly chance: number };

/** LLaDA: as many tokens in each step, the first ones taking what does not divide. */
function evenSteps(tokens: number, steps: number): BlockStep[] {
  const each = Math.floor(tokens / steps);
  return Array.from({ length: steps }, (_, step) => ({ count: each + Number(step < tokens % steps), chance: 1 }));
}

/** Dream: times fall evenly from 1, and a step from t to s writes a share 1 - s / t of what is masked; the last one all. In f32, as there. */
function timedSteps(tokens: number, steps: number): BlockStep[] {
  let masked = tokens;
  return Array.from({ length: steps }, (_, step) => {
    const [t, s] = [time(step, steps), time(step + 1, steps)];
    const chance = step === steps - 1 ? 1 : Math.fround(1 - Math.fround(s / t));
    const count = step === steps - 1 ? masked : Math.trunc(Math.fround(masked * chance));
    masked -= count;
    return { count, chance };
  });
}

/** Number `at` of `steps + 1` f32 numbers that lie evenly from 1 to the last time; the second half is counted from the end. */
function time(at: number, steps: number): number {
  const last = Math.fround(lastTime);
  const width = Math.fround(Math.fround(last - 1) / steps);
  return at < (steps + 1) / 2
    ? Math.fround(1 + Math.fround(width * at))
    : Math.fround(last - Math.fround(width * (steps - at)));
}
