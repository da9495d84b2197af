import { roundHalfEven } from '../round-half-even.ts';

const { fround } = Math;

export type BetaSchedule = 'linear' | 'scaled_linear' | 'squaredcos_cap_v2';
export type PredictionType = 'epsilon' | 'sample' | 'v_prediction';
export type TimestepSpacing = 'leading' | 'linspace' | 'trailing';

/** How a network that predicts from discrete timesteps was noised in training. */
export interface VarianceSchedule {
  readonly trainSteps: number;
  readonly betaStart: number;
  readonly betaEnd: number;
  readonly betas: BetaSchedule;
  /** Rescaled so that the last timestep is pure noise (Lin et al., 2023). */
  readonly zeroTerminalSnr: boolean;
  /** Divisor of the signal-to-noise ratio (CogVideoX); 1 changes nothing. */
  readonly snrShift: number;
  /** Whether betas and their products were rounded to f32. */
  readonly rounded: boolean;
  readonly prediction: PredictionType;
}

/**
 * Share of the signal's variance that is left at each timestep: the cumulative product of 1 - beta.
 * Where checkpoints were trained so, betas and products are rounded to f32 as in PyTorch.
 */
export function signalVariances(schedule: VarianceSchedule): Float64Array {
  const betas = trainingBetas(schedule);
  let product = 1;
  const round = schedule.rounded ? fround : (value: number) => value;
  const variances = Float64Array.from(betas, (beta) => {
    product *= round(1 - beta);
    return round(product);
  });
  const { snrShift, zeroTerminalSnr } = schedule;
  const shifted = snrShift === 1 ? variances : variances.map((value) => value / (snrShift + (1 - snrShift) * value));
  return zeroTerminalSnr ? withoutTerminalSignal(shifted) : shifted;
}

function trainingBetas({ trainSteps, betaStart, betaEnd, betas, rounded }: VarianceSchedule): Float64Array {
  const round = rounded ? fround : (value: number) => value;
  if (betas === 'linear') return linspace(betaStart, betaEnd, trainSteps, round);
  if (betas === 'scaled_linear') {
    const roots = linspace(Math.sqrt(betaStart), Math.sqrt(betaEnd), trainSteps, round);
    return roots.map((root) => round(root * root));
  }
  const signal = (share: number) => Math.cos((((share + 0.008) / 1.008) * Math.PI) / 2) ** 2;
  return Float64Array.from({ length: trainSteps }, (_, step) =>
    fround(Math.min(1 - signal((step + 1) / trainSteps) / signal(step / trainSteps), 0.999)),
  );
}

/** Numbers at equal distances as PyTorch makes them: the second half counts from the end. */
function linspace(start: number, end: number, count: number, round: (value: number) => number): Float64Array {
  const step = round((round(end) - round(start)) / (count - 1));
  return Float64Array.from({ length: count }, (_, index) =>
    index < count / 2
      ? round(round(start) + round(step * index))
      : round(round(end) - round(step * (count - 1 - index))),
  );
}

/** Square roots shifted so that the last is 0, and scaled so that the first stays. */
function withoutTerminalSignal(variances: Float64Array): Float64Array {
  const roots = variances.map(Math.sqrt);
  const [first, last] = [roots[0] as number, roots.at(-1) as number];
  return roots.map((root) => (((root - last) * first) / (first - last)) ** 2);
}

/**
 * The timesteps of a run, falling.
 * @param extra One more than these are laid out, and the last is left out (DPM-Solver).
 */
export function runTimesteps(
  { trainSteps }: Pick<VarianceSchedule, 'trainSteps'>,
  spacing: TimestepSpacing,
  steps: number,
  offset: number,
  extra = 0,
): number[] {
  if (spacing === 'trailing') {
    const stride = trainSteps / steps;
    return Array.from(
      { length: Math.ceil(trainSteps / stride) },
      (_, index) => roundHalfEven(trainSteps - index * stride) - 1,
    );
  }
  const count = steps + extra;
  const rising =
    spacing === 'leading'
      ? Array.from({ length: count }, (_, index) => index * Math.floor(trainSteps / count) + offset)
      : Array.from({ length: count }, (_, index) =>
          roundHalfEven(count === 1 ? 0 : (index * (trainSteps - 1)) / (count - 1)),
        );
  return rising.reverse().slice(0, steps);
}
