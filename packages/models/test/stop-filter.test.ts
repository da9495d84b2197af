import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { StopFilter } from '../src/language-model/stop-filter.ts';

/** All text that comes out when `pieces` go in, up to a stop. */
function run(stops: readonly string[], pieces: readonly string[]): { text: string; stopped: boolean } {
  const filter = new StopFilter(stops);
  let text = '';
  for (const piece of pieces) {
    const result = filter.push(piece);
    text += result.text;
    if (result.stopped) return { text, stopped: true };
  }
  return { text: text + filter.end(), stopped: false };
}

describe('StopFilter', () => {
  it('cuts before the first stop text, also when pieces split it', () => {
    expect(run(['END'], ['some E', 'N', 'D more'])).toEqual({ text: 'some ', stopped: true });
    expect(run(['END', 'me'], ['some END'])).toEqual({ text: 'so', stopped: true });
  });

  it('gives back what only looked like a stop text', () => {
    expect(run(['END'], ['E', 'N', 'X'])).toEqual({ text: 'ENX', stopped: false });
    expect(run(['END'], ['EN'])).toEqual({ text: 'EN', stopped: false });
  });

  it('holds back no more than it must', () => {
    const filter = new StopFilter(['abc']);
    expect(filter.push('xyab').text).toBe('xy');
    expect(filter.push('d').text).toBe('abd');
  });

  it('does not depend on how the text is cut into pieces', () => {
    fc.assert(
      fc.property(
        fc.array(fc.string({ unit: fc.constantFrom('a', 'b'), maxLength: 4 }), { maxLength: 8 }),
        fc.array(fc.string({ unit: fc.constantFrom('a', 'b'), minLength: 2, maxLength: 3 }), {
          minLength: 1,
          maxLength: 2,
        }),
        (pieces, stops) => {
          const whole = pieces.join('');
          const cut = Math.min(...stops.map((stop) => whole.indexOf(stop)).filter((index) => index >= 0));
          const expected = Number.isFinite(cut)
            ? { text: whole.slice(0, cut), stopped: true }
            : { text: whole, stopped: false };
          expect(run(stops, [whole])).toEqual(expected);
          const inPieces = run(stops, pieces);
          expect(inPieces.stopped).toBe(expected.stopped);
          // A shorter stop may complete first; then less, but never more, comes out.
          expect(whole.startsWith(inPieces.text)).toBe(true);
          if (stops.every((stop) => stop.length === stops[0]?.length)) expect(inPieces).toEqual(expected);
        },
      ),
      { numRuns: 300, seed: 1 },
    );
  });
});
