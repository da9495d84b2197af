/** Settings that the authors' simulator ships for GPT-2 on WikiText-2, 1,024 tokens: by layer, shares that are kept. */
export interface PublishedSettings {
  readonly tokenKeep: readonly number[];
  readonly headKeep: readonly number[];
  /** Share of the kept tokens whose values are read. */
  readonly valueKeep: number;
}

const repeat = (share: number, times: number) => new Array<number>(times).fill(share);

/** GPT-2 small: 12 layers of 12 heads. */
export const gpt2Small: PublishedSettings = {
  tokenKeep: [0.9, 0.7, ...repeat(0.2, 4), ...repeat(0.1, 6)],
  headKeep: repeat(1, 12),
  valueKeep: 0.2,
};

/** GPT-2 medium: 24 layers of 16 heads. */
export const gpt2Medium: PublishedSettings = {
  tokenKeep: [1, 1, 0.9, 0.8, 0.8, ...repeat(0.6, 6), ...repeat(0.3, 13)],
  headKeep: [...repeat(1, 16), ...repeat(13 / 16, 6), ...repeat(10 / 16, 2)],
  valueKeep: 0.3,
};
