import type { RawImage } from '@saccade/core';
import type { ModelSource } from '../resolve/model-source.ts';
import type { ModelSourceName } from '../resolve/types.ts';
import type { ByteSource } from '../weights/types.ts';

/** What differs between Node and browsers; package.json's import `#platform` chooses. */
export interface Platform {
  /** The places that a model can come from here. */
  readonly sources: Readonly<Partial<Record<ModelSourceName, ModelSource>>>;
  /** An environment variable; undefined where there are none. */
  environment(name: string): string | undefined;
  /** Opens what is at an address of a scheme that `fetch` does not know here; undefined where it knows it. */
  openUrl(url: URL): Promise<ByteSource> | undefined;
  /** Opens a file by its path; undefined where paths are addresses for `fetch`. */
  openPath(path: string): Promise<ByteSource> | undefined;
  /**
   * Pixels of a picture file: 8 bits, sRGB, upright, the first frame.
   * @throws ImageError
   */
  decodeImage(bytes: Uint8Array, name: string, maximumPixels: number): Promise<RawImage>;
}
