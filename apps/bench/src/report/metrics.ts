import type { QualityName, ResultRow, Speed } from '../result-file/types.ts';

/** How a quality measure is named, read and written. */
export interface QualityText {
  readonly label: string;
  readonly better: 'higher' | 'lower' | 'neither';
  /** `share` is written as a percentage. */
  readonly form: 'share' | 'number';
  /** One sentence for a reader who does not know it. */
  readonly meaning: string;
}

/** Every quality of the schema. */
export const qualityTexts: Readonly<Record<QualityName, QualityText>> = {
  accuracy: { label: 'Accuracy', better: 'higher', form: 'share', meaning: 'Share of tasks answered correctly.' },
  perplexity: {
    label: 'Perplexity',
    better: 'lower',
    form: 'number',
    meaning: 'How surprised the model is by real text: among how many equally likely tokens it seems to choose.',
  },
  relativeError: {
    label: 'Relative error',
    better: 'lower',
    form: 'number',
    meaning: 'Distance of the output from the dense output, divided by the length of the dense output.',
  },
  agreement: {
    label: 'Agreement with dense',
    better: 'higher',
    form: 'share',
    meaning: 'Share of generated tokens that equal those of the dense run.',
  },
  klToDense: {
    label: 'KL to dense (nats)',
    better: 'lower',
    form: 'number',
    meaning: 'How far the predicted distribution of the next token is from that of the dense run; 0 is equal.',
  },
  f1: { label: 'F1', better: 'higher', form: 'share', meaning: 'Harmonic mean of precision and recall.' },
  precision: {
    label: 'Precision',
    better: 'higher',
    form: 'share',
    meaning: 'Share of the found items that are right.',
  },
  recall: { label: 'Recall', better: 'higher', form: 'share', meaning: 'Share of the right items that are found.' },
  yesRatio: {
    label: 'Share of yes',
    better: 'neither',
    form: 'share',
    meaning: 'Share of yes/no questions answered with yes; far from the true share means a bias.',
  },
  chairSentence: {
    label: 'CHAIR, captions',
    better: 'lower',
    form: 'share',
    meaning: 'Share of captions that name an object which is not in the image.',
  },
  chairInstance: {
    label: 'CHAIR, objects',
    better: 'lower',
    form: 'share',
    meaning: 'Share of named objects that are not in the image.',
  },
  psnr: { label: 'PSNR (dB)', better: 'higher', form: 'number', meaning: 'Closeness of an image to the dense one.' },
  ssim: {
    label: 'SSIM',
    better: 'higher',
    form: 'number',
    meaning: 'Structural similarity to the dense image; 1 is equal.',
  },
  featureDistance: {
    label: 'Feature distance',
    better: 'lower',
    form: 'number',
    meaning:
      'Mean cosine distance between the patch features of an image and of the dense one, by a small vision encoder.',
  },
  loss: {
    label: 'Loss (nats)',
    better: 'lower',
    form: 'number',
    meaning: 'Mean cross-entropy of a token that was not trained on.',
  },
  degradation: {
    label: 'Loss beyond the trained length (nats)',
    better: 'lower',
    form: 'number',
    meaning: 'Loss at this length minus that at the trained one.',
  },
  firstTokenMass: {
    label: 'Attention to the first token',
    better: 'neither',
    form: 'share',
    meaning: 'Share of its attention that a query gives to the first token, over queries, heads and layers.',
  },
  meanGate: {
    label: 'Mean gate',
    better: 'neither',
    form: 'share',
    meaning: 'What the gate multiplies with, over tokens, elements and layers.',
  },
  words: {
    label: 'Words',
    better: 'neither',
    form: 'number',
    meaning: 'Words of a description; a short one names fewer objects that are not there, and fewer that are.',
  },
};

/** The times that a row may hold. */
export type TimeName =
  | 'prefillMs'
  | 'decodeMsPerToken'
  | 'attentionMs'
  | 'stepMs'
  | 'sampleMs'
  | 'firstTokenMs'
  | 'hostMsPerToken';

/** Names of times for people. */
export const timeTexts: Readonly<Record<TimeName, string>> = {
  prefillMs: 'Prefill (ms)',
  decodeMsPerToken: 'Decoding (ms per token)',
  attentionMs: 'Attention (ms)',
  firstTokenMs: 'First token (ms)',
  hostMsPerToken: 'JavaScript (ms per token)',
  stepMs: 'Step (ms)',
  sampleMs: 'Whole run (ms)',
};

export const timeNames = Object.keys(timeTexts) as readonly TimeName[];

/** The context length of a row, in tokens, where it has one. */
export function contextLength(row: ResultRow): number | undefined {
  const length = row.options.contextLength;
  return typeof length === 'number' ? length : undefined;
}

/** Names of the speeds that at least one row holds, in the schema's order. */
export function presentSpeeds(rows: readonly ResultRow[]): readonly (keyof Speed)[] {
  const all: readonly (keyof Speed)[] = [...timeNames, 'tokensPerSecond', 'speedup', 'shareOfPeak', 'shareOfPredicted'];
  return all.filter((name) => rows.some((row) => row.speed[name] !== undefined));
}
