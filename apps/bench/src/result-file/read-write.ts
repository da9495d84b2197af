import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { UsageError } from '../usage-error.ts';
import type { ResultFile } from './types.ts';
import { ResultFileError, validateResultFile } from './validate.ts';

/**
 * Reads and validates a result file.
 *
 * @throws UsageError if it cannot be read, is not JSON or does not follow the schema.
 */
export function readResultFile(path: string): ResultFile {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (cause) {
    throw new UsageError(`${path} cannot be read: ${cause instanceof Error ? cause.message : String(cause)}`, {
      cause,
    });
  }
  try {
    return validateResultFile(JSON.parse(text));
  } catch (cause) {
    if (cause instanceof SyntaxError) throw new UsageError(`${path} is not JSON: ${cause.message}`, { cause });
    if (cause instanceof ResultFileError) throw new UsageError(`${path}: ${cause.message}`, { cause });
    throw cause;
  }
}

/**
 * Validates a result file and writes it; folders are made. Nobody ever sees half a file.
 *
 * @throws ResultFileError if it does not follow the schema.
 */
export function writeResultFile(path: string, file: ResultFile): void {
  writeTextFile(path, `${JSON.stringify(validateResultFile(file), null, 2)}\n`);
}

/** Writes a text file in one step; folders are made. */
export function writeTextFile(path: string, text: string): void {
  mkdirSync(dirname(path), { recursive: true });
  const temporary = `${path}.${process.pid}.tmp`;
  writeFileSync(temporary, text);
  renameSync(temporary, path);
}
