import { SaccadeError } from '@saccade/core';

/**
 * What is wrong with a weight file:
 * - `not-found`: a file or tensor is missing
 * - `not-a-weight-file`: neither GGUF nor safetensors
 * - `truncated`: the file ends before what its header announces
 * - `corrupt`: the header contradicts itself or the file
 * - `unsupported-type`: a tensor's element type is not supported
 * - `unsupported`: the file is sound, but of a kind that is not supported
 * - `wrong-shape`, `mixed-types`: tensors do not fit the configuration or one another
 * - `out-of-range`: a number does not fit the type that was asked for
 * - `closed`: the file was read after `close()`
 */
export type WeightFileErrorCode =
  | 'not-found'
  | 'not-a-weight-file'
  | 'truncated'
  | 'corrupt'
  | 'unsupported-type'
  | 'unsupported'
  | 'wrong-shape'
  | 'mixed-types'
  | 'out-of-range'
  | 'closed';

/** What to do, where the code alone tells it. */
const remedies: Partial<Record<WeightFileErrorCode, string>> = {
  'not-a-weight-file': 'Models are GGUF or safetensors files, or folders with one.',
  truncated: 'The file is incomplete: get it again.',
  corrupt: 'Get the file again.',
};

/**
 * A weight file cannot be used; `code` is a {@link WeightFileErrorCode}, and the message names file and tensor. Get a damaged file
 * anew; for a type or kind that is not supported choose another file of the model.
 */
export class WeightFileError extends SaccadeError {
  static override readonly typeName: string = 'WeightFileError';

  constructor(code: WeightFileErrorCode, message: string, options?: { cause?: unknown }) {
    const remedy = remedies[code];
    super(code, remedy === undefined ? message : `${message} ${remedy}`, options);
  }
}
