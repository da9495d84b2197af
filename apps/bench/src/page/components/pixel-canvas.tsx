import { useLayoutEffect, useRef } from 'preact/hooks';
import type { Pixels } from '../protocol.ts';

/** Pixels as they are, as large as the style sheet makes them. */
export function PixelCanvas({
  pixels,
  label,
  class: className = '',
}: {
  readonly pixels: Pixels;
  readonly label: string;
  readonly class?: string;
}) {
  const canvas = useRef<HTMLCanvasElement>(null);
  useLayoutEffect(() => {
    const { width, height, data } = pixels;
    canvas.current?.getContext('2d')?.putImageData(new ImageData(data, width, height), 0, 0);
  }, [pixels]);
  return (
    <canvas
      ref={canvas}
      width={pixels.width}
      height={pixels.height}
      class={`pixels ${className}`}
      role="img"
      aria-label={label}
    />
  );
}
