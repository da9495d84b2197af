import { ImageError, type RawImage } from '@saccade/core';

type Sharp = typeof import('sharp').default;

let loading: Promise<Sharp> | undefined;

/** Decodes a picture file with the optional peer `sharp`. @throws ImageError */
export async function decodeImage(bytes: Uint8Array, name: string, maximumPixels: number): Promise<RawImage> {
  const sharp = await loadSharp();
  try {
    const image = sharp(bytes, { limitInputPixels: false, failOn: 'truncated', pages: 1 });
    const { width = 0, height = 0 } = await image.metadata();
    if (width * height > maximumPixels) {
      throw new ImageError(
        'too-large',
        `${name} has ${width} x ${height} pixels, more than ${maximumPixels}; make it smaller or raise maximumPixels.`,
      );
    }
    const { data, info } = await image
      .autoOrient()
      .toColourspace('srgb')
      .raw({ depth: 'uchar' })
      .toBuffer({ resolveWithObject: true });
    return { width: info.width, height: info.height, channels: info.channels as RawImage['channels'], data };
  } catch (cause) {
    if (ImageError.isInstance(cause)) throw cause;
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new ImageError('unreadable', `${name} cannot be decoded: ${reason}`, { cause });
  }
}

async function loadSharp(): Promise<Sharp> {
  loading ??= import('sharp').then((module) => module.default);
  try {
    return await loading;
  } catch (cause) {
    loading = undefined;
    throw new ImageError(
      'no-decoder',
      'Picture files are decoded by the optional package sharp, which is missing: npm i sharp. Raw pixels need none.',
      { cause },
    );
  }
}
