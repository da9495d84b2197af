import { nearNames, SaccadeError } from '@saccade/core';

/** The command was written wrongly: exit code 2. The message says what is allowed. */
export class UsageError extends SaccadeError {
  constructor(message: string, options?: { cause?: unknown }) {
    super('usage', message, options);
  }
}

/**
 * The error for a name that is not in `names`: it lists the near ones, and all of them where none is near.
 *
 * @param instead a sentence that says what else would be allowed
 */
export function unknownName(kind: string, given: string, names: readonly string[], instead?: string): UsageError {
  const near = nearNames(given, names);
  const hint =
    near.length > 0
      ? `Did you mean ${near.join(' or ')}?`
      : `Known: ${names.length > 0 ? [...names].sort().join(', ') : 'none'}.`;
  return new UsageError(
    `There is no ${kind} ${JSON.stringify(given)}. ${hint}${instead === undefined ? '' : ` ${instead}`}`,
  );
}
