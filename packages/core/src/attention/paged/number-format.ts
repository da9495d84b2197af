import { ArgumentError } from '../../errors.ts';

/**
 * Numbers of a page that share a step. `token`: those of one token and head. `channel`: those of one channel over the tokens of
 * a page. `channelSeparable`: those of one token and head, after each channel was divided by the square root of its largest
 * magnitude in the page (ZipCache, arXiv 2405.14256, section 4.2), so that one large channel does not spoil the others.
 */
export type NumberGrouping = 'token' | 'channel' | 'channelSeparable';

/** How the numbers of keys or of values are quantized. */
export interface NumberFormat {
  /** Bits of a number, even, 2 to 12. */
  readonly bits: number;
  /**
   * How many of them, the lowest ones, stand apart, so that a kernel may read the others alone; even, below `bits`. Default 0.
   */
  readonly lowBits?: number;
  /** Which numbers share a step. */
  readonly per: NumberGrouping;
  /** Steps count from zero in both directions rather than from the smallest number. Default false. */
  readonly symmetric?: boolean;
}

/** A format with its defaults filled in. */
export type ResolvedNumberFormat = Required<NumberFormat>;

const groupings: readonly NumberGrouping[] = ['token', 'channel', 'channelSeparable'];

/** @throws ArgumentError */
export function resolveNumberFormat(name: string, format: NumberFormat): ResolvedNumberFormat {
  const { bits, lowBits = 0, per, symmetric = false } = format;
  if (!isEven(bits) || bits < 2 || bits > 12) throw new ArgumentError(`${name}.bits`, bits, '2, 4, 6, 8, 10, 12');
  if (!isEven(lowBits) || lowBits < 0 || lowBits >= bits) {
    throw new ArgumentError(`${name}.lowBits`, lowBits, `an even number from 0 to ${bits - 2}`);
  }
  if (!groupings.includes(per)) throw new ArgumentError(`${name}.per`, per, groupings.join(', '));
  return { bits, lowBits, per, symmetric };
}

function isEven(value: number): boolean {
  return Number.isInteger(value) && value % 2 === 0;
}

/**
 * Widths of the planes that hold so many bits, the highest first. A plane of width 8, 4 or 2 holds that many bits of every
 * number of a page, four numbers in a word, a half or a byte.
 */
export function planeWidths(bits: number): number[] {
  const widths: number[] = [];
  for (const width of [8, 4, 2]) {
    while (bits >= width) {
      widths.push(width);
      bits -= width;
    }
  }
  return widths;
}
