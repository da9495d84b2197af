import { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { expect, it } from 'vitest';
import { dawnWarningFilter } from '../src/stderr-filter.ts';

const harmless =
  'Warning: maxDynamicUniformBuffersPerPipelineLayout artificially reduced from 1000000 to 16 to fit dynamic offset allocation limit.\n';

function filter(chunks: readonly string[]): Promise<string> {
  return text(Readable.from(chunks.map((chunk) => Buffer.from(chunk))).pipe(dawnWarningFilter()));
}

it('drops the harmless warnings and keeps every other line', async () => {
  const other = 'Warning: vkCreateInstance failed\n';
  expect(await filter([`before\n${harmless}${other}${harmless}after`])).toBe(`before\n${other}after`);
});

it('gives the same result however the stream is cut', async () => {
  const whole = `a\n${harmless}Warning: other\nb${harmless}${harmless}c`;
  const expected = await filter([whole]);
  expect(expected).toBe(`a\nWarning: other\nb${harmless}c`);
  for (const size of [1, 2, 7, 64]) {
    const pieces = whole.match(new RegExp(`[^]{1,${size}}`, 'g')) ?? [];
    expect(await filter(pieces), `pieces of ${size}`).toBe(expected);
  }
});

it('passes on an unfinished line at once', async () => {
  const stream = dawnWarningFilter();
  stream.write('progress 10%');
  await new Promise((resolve) => setImmediate(resolve));
  expect(stream.read()?.toString()).toBe('progress 10%');
});
