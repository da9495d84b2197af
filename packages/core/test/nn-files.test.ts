import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { checkpointFile, jsonLinesFile } from '../src/node/index.ts';

const folder = mkdtempSync(join(tmpdir(), 'saccade-run-'));
afterAll(() => rmSync(folder, { recursive: true }));

it('a checkpoint file holds the last whole checkpoint at every moment', async () => {
  const path = join(folder, 'run', 'checkpoint.safetensors');
  const store = checkpointFile(path);
  expect(await store.read()).toBeUndefined();
  const whole = (value: number) => new Uint8Array(8_000_000).fill(value);
  await store.write(whole(1));
  // Readers beside a writer, as after a process that ended half way.
  let writing = true;
  const written = store.write(whole(2)).finally(() => {
    writing = false;
  });
  while (writing) {
    const found = (await store.read()) as Uint8Array;
    expect(found).toHaveLength(8_000_000);
    expect(new Set(found).size).toBe(1);
  }
  await written;
  expect((await store.read())?.[0]).toBe(2);
  // What a killed process leaves behind.
  writeFileSync(`${path}.partial`, 'half');
  expect((await store.read())?.[0]).toBe(2);
  await store.write(whole(3));
  expect((await store.read())?.[0]).toBe(3);
  expect(readdirSync(join(folder, 'run'))).toEqual(['checkpoint.safetensors']);
});

it('a checkpoint that cannot be written leaves nothing and tells', async () => {
  const path = join(folder, 'taken');
  await mkdir(join(path, 'inside'), { recursive: true });
  await expect(checkpointFile(path).write(new Uint8Array(9))).rejects.toThrow();
  await expect(checkpointFile(path).read()).rejects.toThrow();
  expect(readdirSync(folder)).not.toContain('taken.partial');
});

it('lines are appended', () => {
  const path = join(folder, 'logs', 'losses.jsonl');
  jsonLinesFile(path)('{"step":0}');
  jsonLinesFile(path)('{"step":1}');
  expect(readFileSync(path, 'utf8')).toBe('{"step":0}\n{"step":1}\n');
});
