import type { DownloadProgress } from '../types.ts';
import type { HubFile } from './hub-repository.ts';

/** Counts the bytes of a model's files, of each and of all. */
export class HubProgress {
  readonly #report: (progress: DownloadProgress) => void;
  readonly #loaded = new Map<string, number>();
  #totalBytes = 0;
  #complete = false;

  constructor(report: (progress: DownloadProgress) => void = () => undefined) {
    this.#report = report;
  }

  /**
   * Announces files that will be taken.
   * @param complete Whether no more will follow: only then is the sum known.
   */
  expect(files: readonly HubFile[], complete: boolean): void {
    for (const { size } of files) this.#totalBytes += size;
    this.#complete = complete;
  }

  /** A file that is there already. */
  skip({ path, size }: HubFile): void {
    this.#loaded.set(path, size);
  }

  advance({ path, size }: HubFile, loadedBytes: number): void {
    this.#loaded.set(path, loadedBytes);
    let all = 0;
    for (const bytes of this.#loaded.values()) all += bytes;
    const overall = this.#complete ? { loadedBytes: all, totalBytes: this.#totalBytes } : undefined;
    this.#report({ source: 'hub', file: path, loadedBytes, totalBytes: size, overall });
  }
}
