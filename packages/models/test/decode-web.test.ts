import { afterEach, describe, expect, it, vi } from 'vitest';
import { decodeImage } from '../src/images/decode.web.ts';

/** Stands for a browser that decodes any bytes to a picture of this size, each pixel its number. */
function browser(width: number, height: number, { decodes = true } = {}) {
  const closed = vi.fn();
  vi.stubGlobal('createImageBitmap', async (blob: Blob, options: ImageBitmapOptions) => {
    expect(options.premultiplyAlpha).toBe('none');
    expect(blob.size).toBe(4);
    if (!decodes) throw new DOMException('no picture', 'InvalidStateError');
    return { width, height, close: closed };
  });
  vi.stubGlobal(
    'OffscreenCanvas',
    class {
      getContext = () => ({
        drawImage: () => undefined,
        getImageData: (_x: number, _y: number, w: number, h: number) => ({
          data: Uint8ClampedArray.from({ length: w * h * 4 }, (_, index) => index),
        }),
      });
    },
  );
  return closed;
}

afterEach(() => vi.unstubAllGlobals());

describe('decoding in a browser', () => {
  const bytes = Uint8Array.of(1, 2, 3, 4);

  it('gives RGBA, and closes the bitmap', async () => {
    const closed = browser(3, 2);
    const image = await decodeImage(bytes, 'it', 100);
    expect([image.width, image.height, image.channels, image.data.length]).toEqual([3, 2, 4, 24]);
    expect(closed).toHaveBeenCalledOnce();
  });

  it('refuses what is too large or no picture, and says where nothing decodes', async () => {
    const closed = browser(30, 20);
    await expect(decodeImage(bytes, 'it', 100)).rejects.toMatchObject({ name: 'ImageError', code: 'too-large' });
    expect(closed).toHaveBeenCalledOnce();
    browser(1, 1, { decodes: false });
    await expect(decodeImage(bytes, 'it', 100)).rejects.toMatchObject({ code: 'unreadable' });
    vi.unstubAllGlobals();
    await expect(decodeImage(bytes, 'it', 100)).rejects.toMatchObject({ code: 'no-decoder' });
  });
});
