/**
 * Why no package was made:
 * - `usage`: no slug, or more than one argument
 * - `bad-slug`: the slug is no package name in kebab case, or is reserved
 * - `taken`: the workspace has a package, a folder or a method of the bench of this name
 * - `unknown-layout`: a file that lists the packages does not look as expected
 */
export type CreateMethodErrorCode = 'usage' | 'bad-slug' | 'taken' | 'unknown-layout';

/** A method package cannot be made. The message says what to do. */
export class CreateMethodError extends Error {
  override readonly name = 'CreateMethodError';
  readonly code: CreateMethodErrorCode;

  constructor(code: CreateMethodErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}
