/** A training step: Llama's layers with as many key/value heads as query heads, tied embeddings of {@link vocabulary} ids. */
export interface TrainingShape {
  readonly layers: number;
  readonly hiddenSize: number;
  readonly heads: number;
  readonly intermediateSize: number;
  /** Rows of a batch. */
  readonly batch: number;
  /** Tokens of a row. */
  readonly length: number;
}

/** Bytes. */
export const vocabulary = 256;

/** Operations of a step: three products of every matrix with the tokens, and attention, whose backward pass has five for two. */
export function trainingFlops({ layers, hiddenSize, intermediateSize, batch, length }: TrainingShape): number {
  const weights = layers * (4 * hiddenSize ** 2 + 3 * hiddenSize * intermediateSize) + vocabulary * hiddenSize;
  const pairs = (batch * length * (length + 1)) / 2;
  return 6 * batch * length * weights + layers * 14 * pairs * hiddenSize;
}
