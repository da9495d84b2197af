import { readFileSync, writeFileSync } from 'node:fs';
import { errorPage, errorTable, withErrorTable } from './error-table.ts';
import { publicErrors } from './public-errors.ts';

/* Writes the table of errors into docs/architecture/errors.md. */
const errors = publicErrors();
writeFileSync(errorPage, withErrorTable(readFileSync(errorPage, 'utf8'), errorTable(errors)));
process.stdout.write(`${errors.length} errors written to ${errorPage}\n`);
