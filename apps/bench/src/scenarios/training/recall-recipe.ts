/** Examples of associative recall: `pairs` keys and values in `length` tokens. */
export interface RecallTask {
  readonly length: number;
  readonly pairs: number;
}

/** How models learn associative recall, and what they are asked afterwards. */
export interface RecallRecipe {
  readonly vocabularySize: number;
  readonly hiddenSize: number;
  /** Tokens of a training step: shorter tasks come in larger batches. */
  readonly tokensPerStep: number;
  readonly steps: number;
  readonly warmup: number;
  /** Each is tried; of a seed's runs the one with the lowest loss over its last steps counts. */
  readonly learningRates: readonly number[];
  /** First steps, in which only the first task is trained: many pairs at once keep small models on a plateau. */
  readonly easySteps: number;
  /** Trained in turns; a task that stands here several times comes as often. */
  readonly trained: readonly RecallTask[];
  readonly tested: readonly RecallTask[];
  readonly testExamples: number;
}

const task = (length: number, pairs: number): RecallTask => ({ length, pairs });

const small = [task(64, 4), task(64, 8), task(64, 16), task(128, 4), task(128, 8), task(128, 16)];

/** What the README of the package reports: minutes on a GPU, most of an hour on a software adapter. */
export const fullRecipe: RecallRecipe = {
  vocabularySize: 256,
  hiddenSize: 64,
  tokensPerStep: 2048,
  steps: 1000,
  warmup: 50,
  learningRates: [1e-2, 5e-3],
  easySteps: 400,
  trained: small,
  tested: small,
  testExamples: 64,
};

/** Minutes on a software adapter; enough for full attention to solve it, and for the order of the others to show. */
export const quickRecipe: RecallRecipe = {
  ...fullRecipe,
  vocabularySize: 64,
  hiddenSize: 32,
  tokensPerStep: 1024,
  steps: 500,
  warmup: 20,
  learningRates: [1e-2],
  easySteps: 0,
  trained: [task(32, 4)],
  tested: [task(32, 4), task(32, 8)],
};

/** Figure 2 of the paper: 180,000 examples, 32 times, in batches of 16,384 tokens. */
export const paperRecipe: RecallRecipe = {
  vocabularySize: 8192,
  hiddenSize: 64,
  tokensPerStep: 16_384,
  steps: 22_500,
  warmup: 500,
  learningRates: [1e-3, 1e-2 / Math.sqrt(10), 1e-2, 1e-1 / Math.sqrt(10)],
  easySteps: 0,
  trained: [...new Array<RecallTask>(5).fill(task(64, 4)), task(128, 8), task(256, 16), task(256, 32), task(256, 64)],
  tested: [task(64, 4), task(64, 8), task(64, 16), task(128, 32), task(256, 64), task(512, 128), task(1024, 256)],
  testExamples: 1000,
};

/** The task of a training step. */
export function taskOfStep({ trained, easySteps }: RecallRecipe, step: number): RecallTask {
  return trained[step < easySteps ? 0 : step % trained.length] as RecallTask;
}
