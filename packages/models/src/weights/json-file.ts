import type { ModelFiles } from '../resolve/types.ts';
import { WeightFileError } from './weight-file-error.ts';

/** The largest files are tokenizers of some 40 MB. */
const maximumBytes = 2 ** 28;

/**
 * Reads a JSON file of a model.
 * @throws WeightFileError `not-found`, or `corrupt` where it is not JSON
 */
export async function readJson(files: ModelFiles, name: string): Promise<unknown> {
  const source = await files.open(name);
  try {
    if (source.size > maximumBytes) {
      throw new WeightFileError(
        'corrupt',
        `${files.location}: ${name} has ${source.size} bytes, more than any such file.`,
      );
    }
    return JSON.parse(new TextDecoder().decode(await source.read(0, source.size)));
  } catch (cause) {
    if (!(cause instanceof SyntaxError)) throw cause;
    throw new WeightFileError('corrupt', `${files.location}: ${name} is not JSON.`, { cause });
  } finally {
    await source.close();
  }
}

/** The same, for a file that may be missing. */
export async function readOptionalJson(files: ModelFiles, name: string): Promise<unknown> {
  return files.names.includes(name) ? readJson(files, name) : undefined;
}
