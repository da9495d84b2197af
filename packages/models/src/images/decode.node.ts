import { ImageError, type RawImage } from '@saccade/core';

type Sharp = typeof import('sharp').default;

let loading: Promise<Sharp> | undefined;

/** Decodes a picture file with the optional peer `sharp`. @throws ImageError */
export async function decodeImage(bytes: Uint8Array, name: string, maximumPixels: number): Promise<RawImage> {
  const sharp = await loadSharp();
  try {
    const image = sharp(bytes, { limitInputPixels: false, failOn: 'truncated', pages: 1 });
    const { width = 0, height = 0, space, hasProfile } = await image.metadata();
    if (width * height > maximumPixels) {
      throw new ImageError(
        'too-large',
        `${name} has ${width} x ${height} pixels, more than ${maximumPixels}; make it smaller or raise maximumPixels.`,
      );
    }
    // Inks without a profile have no colours of their own: they are taken as Pillow and browsers take them.
    const isInk = space === 'cmyk' && !hasProfile;
    const upright = image.autoOrient();
    const { data, info } = await (isInk
      ? upright.pipelineColourspace('cmyk').toColourspace('cmyk')
      : upright.toColourspace('srgb')
    )
      .raw({ depth: 'uchar' })
      .toBuffer({ resolveWithObject: true });
    const size = { width: info.width, height: info.height };
    if (isInk) return { ...size, channels: 3, data: inkToRgb(data, info.channels) };
    return { ...size, channels: info.channels as RawImage['channels'], data };
  } catch (cause) {
    if (ImageError.isInstance(cause)) throw cause;
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new ImageError('unreadable', `${name} cannot be decoded: ${reason}`, { cause });
  }
}

/** CMYK to RGB by plain arithmetic: what an ink leaves of what black leaves. */
function inkToRgb(data: Uint8Array, channels: number): Uint8Array {
  const rgb = new Uint8Array((data.length / channels) * 3);
  for (let pixel = 0; pixel < rgb.length / 3; pixel++) {
    const light = 255 - (data[pixel * channels + 3] as number);
    for (let ink = 0; ink < 3; ink++)
      rgb[pixel * 3 + ink] = light - Math.round((light * (data[pixel * channels + ink] as number)) / 255);
  }
  return rgb;
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
