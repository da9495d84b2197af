import type { AxisPositions, PromptSpans } from '@saccade/core';

/**
 * Positions in time, down and across (Qwen2-VL): text goes one further on all axes with each token; the cells of an image stand at
 * one time, by their row and column, and what follows begins behind the largest of these. Undefined for a text without images.
 */
export function axisPositions({ length, images }: PromptSpans): AxisPositions | undefined {
  if (images.length === 0) return undefined;
  const axes: [number[], number[], number[]] = [[], [], []];
  const starts = new Map(images.map((image) => [image.positions[0] as number, image]));
  let next = 0;
  for (let position = 0; position < length; ) {
    const image = starts.get(position);
    if (!image) {
      for (const axis of axes) axis.push(next);
      next++;
      position++;
      continue;
    }
    for (let cell = 0; cell < image.positions.length; cell++) {
      axes[0].push(next);
      axes[1].push(next + Math.floor(cell / image.columns));
      axes[2].push(next + (cell % image.columns));
    }
    next += Math.max(image.rows, image.columns);
    position += image.positions.length;
  }
  return { axes, offset: next - length };
}
