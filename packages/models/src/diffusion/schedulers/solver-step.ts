/** Factors of a sum of tensors; a factor of 0 leaves its tensor out. */
export interface StepWeights {
  /** Of the noisy sample that the step begins with. */
  readonly sample: number;
  /** Of what the network predicted. */
  readonly prediction: number;
  /** Of the step's estimate of the clean sample. */
  readonly clean: number;
  /** Of the estimate of the step before. */
  readonly previousClean: number;
  /** Of fresh standard normal noise. */
  readonly noise: number;
}

/** One step of a solver: everything about it is known before the run, so that a step is a few sums on the GPU. */
export interface SolverStep {
  /** What the network is told. */
  readonly timestep: number;
  /** The sample that the step begins with is `signal` times the clean one plus `noise` times standard normal noise. */
  readonly level: { readonly signal: number; readonly noise: number };
  /** clean = sample factor * sample + prediction factor * prediction */
  readonly clean: Pick<StepWeights, 'sample' | 'prediction'>;
  /** Bound of the clean estimate's absolute value, where there is one. */
  readonly clip?: number | undefined;
  /** The sample after the step. */
  readonly next: StepWeights;
}

export const noWeights: StepWeights = { sample: 0, prediction: 0, clean: 0, previousClean: 0, noise: 0 };
