import { ImageError, type ImageInput, type RawImage, type RgbImage, rgbImage } from '@saccade/core';
import { platform } from '#platform';

export interface LoadImageOptions {
  /** Most pixels of an image. Default 89,478,485, where Pillow begins to warn. */
  readonly maximumPixels?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

const defaultMaximumPixels = 89_478_485;

/** Most bytes of a picture file. */
const maximumBytes = 2 ** 28;

/**
 * An image as RGB pixels: of a file upright as its metadata says, of an animation the first frame, alpha over white.
 *
 * @throws ImageError
 */
export async function loadImage(input: ImageInput, options: LoadImageOptions = {}): Promise<RgbImage> {
  const { maximumPixels = defaultMaximumPixels } = options;
  if (isRaw(input)) {
    checkPixels(input, maximumPixels);
    return rgbImage(input);
  }
  const { bytes, name } = await bytesOf(input, options.signal);
  if (bytes.byteLength === 0) throw new ImageError('unreadable', `${name} is empty.`);
  const raw = await platform.decodeImage(bytes, name, maximumPixels);
  checkPixels(raw, maximumPixels);
  return rgbImage(raw);
}

function isRaw(input: ImageInput): input is RawImage {
  return typeof input === 'object' && input !== null && 'data' in input && 'width' in input;
}

function checkPixels({ width, height }: { readonly width: number; readonly height: number }, most: number): void {
  if (width * height <= most) return;
  throw new ImageError(
    'too-large',
    `An image of ${width} x ${height} has more than ${most} pixels; make it smaller or raise maximumPixels.`,
  );
}

async function bytesOf(input: Exclude<ImageInput, RawImage>, signal: AbortSignal | undefined): Promise<NamedBytes> {
  if (input instanceof Uint8Array) return { bytes: input, name: 'The image' };
  if (input instanceof ArrayBuffer) return { bytes: new Uint8Array(input), name: 'The image' };
  if (input instanceof Blob) return { bytes: new Uint8Array(await limited(input).arrayBuffer()), name: 'The image' };
  if (typeof input !== 'string' && !(input instanceof URL)) {
    throw new ImageError('invalid', 'An image is raw pixels, the bytes of a picture file, a Blob, a path or a URL.');
  }
  return fetchBytes(input, signal);
}

interface NamedBytes {
  readonly bytes: Uint8Array;
  readonly name: string;
}

async function fetchBytes(where: string | URL, signal: AbortSignal | undefined): Promise<NamedBytes> {
  const text = String(where);
  const name = text.startsWith('data:') ? 'The image in a data URL' : text;
  const url = where instanceof URL || /^(https?|data|blob|file):/i.test(text) ? new URL(text) : undefined;
  try {
    const source = url ? platform.openUrl(url) : platform.openPath(text);
    if (source) {
      const opened = await source;
      try {
        if (opened.size > maximumBytes) throw tooLong(name, opened.size);
        return { bytes: await opened.read(0, opened.size), name };
      } finally {
        await opened.close();
      }
    }
    const response = await fetch(url ?? text, signal ? { signal } : {});
    if (!response.ok) throw new ImageError('not-found', `${name} could not be fetched: status ${response.status}.`);
    return { bytes: new Uint8Array(await limited(await response.blob()).arrayBuffer()), name };
  } catch (cause) {
    if (ImageError.isInstance(cause) || (cause instanceof Error && cause.name === 'AbortError')) throw cause;
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new ImageError('not-found', `${name} could not be read: ${reason}`, { cause });
  }
}

function limited(blob: Blob): Blob {
  if (blob.size > maximumBytes) throw tooLong('The image', blob.size);
  return blob;
}

function tooLong(name: string, bytes: number): ImageError {
  return new ImageError('too-large', `${name} has ${bytes} bytes; allowed: ${maximumBytes}.`);
}
