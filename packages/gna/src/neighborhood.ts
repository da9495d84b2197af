import { ArgumentError } from '@saccade/core';

/** A value for all axes, or one per axis, slowest first. */
export type PerAxis<T> = T | readonly T[];

/** What a query sees, per axis of the token layout. */
export interface NeighborhoodOptions {
  /** Keys that a query sees along an axis, at least 2. */
  readonly window: PerAxis<number>;
  /** Queries that share a window, from 1 (sliding) to the window (blocks). Default 1. */
  readonly stride?: PerAxis<number>;
  /** Distance of neighbours. Default 1. */
  readonly dilation?: PerAxis<number>;
  /** Axes along which no query sees behind itself. Default false. */
  readonly causal?: PerAxis<boolean>;
}

/** The same with an entry per axis, checked. */
export interface Neighborhood {
  readonly window: readonly number[];
  readonly stride: readonly number[];
  readonly dilation: readonly number[];
  readonly causal: readonly boolean[];
}

const isCount = (value: number) => Number.isInteger(value) && value >= 1;

/** An entry per axis. @throws ArgumentError */
export function perAxis<T>(name: string, value: PerAxis<T>, rank: number): T[] {
  const values = Array.isArray(value) ? (value as readonly T[]) : new Array<T>(rank).fill(value as T);
  if (values.length !== rank) throw new ArgumentError(name, value, `one value, or ${rank}`);
  return [...values];
}

/** @throws ArgumentError unless the layout has 1 to 3 axes of at least one token */
export function checkLayout(layout: readonly number[]): void {
  if (layout.length < 1 || layout.length > 3 || !layout.every(isCount)) {
    throw new ArgumentError('layout', layout, '1 to 3 positive integers');
  }
}

/**
 * Fills in defaults.
 *
 * @throws ArgumentError for a layout of 0 or over 3 axes, a window below 2 or, times the dilation, over its axis, a stride over its window
 */
export function resolveNeighborhood(layout: readonly number[], options: NeighborhoodOptions): Neighborhood {
  checkLayout(layout);
  const rank = layout.length;
  const window = perAxis('window', options.window, rank);
  const stride = perAxis('stride', options.stride ?? 1, rank);
  const dilation = perAxis('dilation', options.dilation ?? 1, rank);
  const causal = perAxis('causal', options.causal ?? false, rank);
  layout.forEach((size, axis) => {
    const [w, s, d] = [window[axis], stride[axis], dilation[axis]] as [number, number, number];
    if (!Number.isInteger(w) || w < 2) throw new ArgumentError('window', w, `integers >= 2 (axis ${axis})`);
    if (!isCount(d)) throw new ArgumentError('dilation', d, `integers >= 1 (axis ${axis})`);
    if (w * d > size) {
      throw new ArgumentError(
        'window',
        w,
        `window x dilation up to ${size}, the length of axis ${axis} (dilation ${d})`,
      );
    }
    if (!isCount(s) || s > w)
      throw new ArgumentError('stride', s, `integers from 1 to the window, ${w} (axis ${axis})`);
    if (typeof causal[axis] !== 'boolean') throw new ArgumentError('causal', causal[axis], 'true or false');
  });
  return { window, stride, dilation, causal };
}

/** Whether every query sees every key. */
export function isDense(layout: readonly number[], { window, causal }: Neighborhood): boolean {
  return layout.every((size, axis) => window[axis] === size && !causal[axis]);
}
