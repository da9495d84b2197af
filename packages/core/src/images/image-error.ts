import { SaccadeError } from '../errors.ts';

/**
 * What is wrong with an image:
 * - `not-found`: nothing lies at the path or address
 * - `unreadable`: the bytes are no picture, or a damaged one
 * - `too-large`: it has more pixels than are allowed
 * - `invalid`: raw pixels whose sizes do not fit together, or a shape that the model cannot take
 * - `no-decoder`: picture files cannot be decoded here
 */
export type ImageErrorCode = 'not-found' | 'unreadable' | 'too-large' | 'invalid' | 'no-decoder';

/** An image cannot be used; `code` is an {@link ImageErrorCode}, and the message says which image it is and what to do. */
export class ImageError extends SaccadeError {
  static override readonly typeName: string = 'ImageError';

  constructor(code: ImageErrorCode, message: string, options?: { cause?: unknown }) {
    super(code, message, options);
  }
}
