/** What the processor could do at most, for an adapter that runs on it. */
export interface TheoreticalRate {
  readonly value: number;
  /** How the figure comes about. */
  readonly assumption: string;
}
