import type { HostImage } from './image-quality.ts';

/** An image in [-1, 1] as bytes, [height, width, 3]; one channel stands for all. */
export function imageBytes({ channels, height, width, values }: HostImage): Uint8Array {
  const size = height * width;
  return Uint8Array.from({ length: 3 * size }, (_, at) => {
    const value = values[Math.min(at % 3, channels - 1) * size + Math.floor(at / 3)] as number;
    return Math.round(127.5 * (Math.min(1, Math.max(-1, value)) + 1));
  });
}
