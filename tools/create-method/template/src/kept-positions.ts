import type { ResolvedNewMethodOptions } from './options.ts';

/** Positions that a decode step reads, out of `keyLength`: ascending, each once. */
export function keptPositions(keyLength: number, { sinks, window }: ResolvedNewMethodOptions): number[] {
  const positions = Array.from({ length: keyLength }, (_, position) => position);
  return positions.filter((position) => position < sinks || position >= keyLength - window);
}
