import { encodePng } from '@saccade/models';
import { imageBytes } from '../../measure/image-bytes.ts';
import type { HostImage } from '../../measure/image-quality.ts';
import { base64 } from '../../result-file/base64.ts';

/** Pixels between images, and how often a pixel is repeated on each axis. */
const [gap, zoom] = [2, 3];

/** Images in [-1, 1] as one PNG file in base64: a row of the grid per inner list. */
export async function imageGrid(rows: readonly (readonly HostImage[])[]): Promise<string> {
  const [first] = rows[0] as readonly [HostImage];
  const [cellHeight, cellWidth] = [first.height * zoom + gap, first.width * zoom + gap];
  const columns = Math.max(...rows.map((row) => row.length));
  const [height, width] = [rows.length * cellHeight + gap, columns * cellWidth + gap];
  const rgb = new Uint8Array(3 * height * width).fill(255);
  for (const [row, images] of rows.entries()) {
    for (const [column, image] of images.entries()) {
      paint(rgb, width, image, row * cellHeight + gap, column * cellWidth + gap);
    }
  }
  return base64(await encodePng({ width, height, channels: 3, data: rgb }));
}

function paint(rgb: Uint8Array, width: number, image: HostImage, top: number, left: number): void {
  const bytes = imageBytes(image);
  for (let y = 0; y < image.height * zoom; y++) {
    for (let x = 0; x < image.width * zoom; x++) {
      const at = Math.floor(y / zoom) * image.width + Math.floor(x / zoom);
      rgb.set(bytes.subarray(3 * at, 3 * at + 3), 3 * ((top + y) * width + left + x));
    }
  }
}
