/** A setting of the paper, with what it reports. */
export interface PublishedSetting {
  readonly model: string;
  /** Tokens per axis: [frames, height, width], or [height, width]. */
  readonly layout: readonly number[];
  readonly window: readonly number[];
  readonly stride: readonly number[];
  readonly queryTile: readonly number[];
  readonly keyTile: readonly number[];
  /** Whether the paper states the shapes of tiles; else they are those with which its numbers come out. */
  readonly tilesStated: boolean;
  /** Share of attention in the time of a dense run. */
  readonly attentionShare: number;
  /** End-to-end speed-up with all steps sparse, as simulated in the paper. */
  readonly endToEnd: number;
}

const hunyuan = {
  model: 'HunyuanVideo',
  layout: [30, 48, 80],
  attentionShare: 0.607,
} as const;
const narrow = {
  ...hunyuan,
  ...{ window: [18, 24, 24], queryTile: [4, 8, 8], keyTile: [2, 8, 8], tilesStated: true },
} as const;
const cosmos = {
  model: 'Cosmos-7B',
  ...{ layout: [16, 44, 80], queryTile: [8, 4, 8], keyTile: [4, 4, 8], tilesStated: false, attentionShare: 0.587 },
} as const;
const flux = {
  model: 'FLUX.1-dev 4K',
  ...{ layout: [256, 256], window: [80, 80], queryTile: [16, 16], keyTile: [16, 8], tilesStated: false },
  attentionShare: 0.518,
} as const;

/** The settings whose simulated speed-ups the paper prints (on a B200, FP16). */
export const publishedSettings: readonly PublishedSetting[] = [
  { ...narrow, stride: [1, 1, 1], endToEnd: 1.73 },
  { ...narrow, stride: [2, 1, 1], endToEnd: 1.78 },
  { ...narrow, stride: [1, 1, 8], endToEnd: 1.99 },
  { ...narrow, stride: [2, 1, 8], endToEnd: 2.02 },
  { ...narrow, stride: [1, 8, 8], endToEnd: 2.17 },
  { ...narrow, stride: [2, 8, 8], endToEnd: 2.2 },
  { ...narrow, stride: [16, 8, 8], endToEnd: 2.23 },
  { ...narrow, stride: [18, 24, 24], endToEnd: 2.06 },
  {
    ...hunyuan,
    ...{ window: [30, 40, 40], stride: [1, 32, 8], queryTile: [2, 16, 8], keyTile: [2, 8, 8], tilesStated: false },
    endToEnd: 1.55,
  },
  { ...cosmos, window: [16, 32, 48], stride: [1, 8, 16], endToEnd: 1.5 },
  { ...flux, stride: [1, 1], endToEnd: 1.76 },
  { ...flux, stride: [16, 1], endToEnd: 1.84 },
  { ...flux, stride: [16, 16], endToEnd: 1.88 },
];
