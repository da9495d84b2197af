/** Resolves the model that is named and prints the SHA-256 of its weights. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { resolveModel } from '../src/resolve/resolve-model.ts';

const files = await resolveModel(process.argv[2] as string, { sources: ['hub'], token: '' });
const weights = readFileSync(join(files.location, 'model.safetensors'));
process.stdout.write(createHash('sha256').update(weights).digest('hex'));
