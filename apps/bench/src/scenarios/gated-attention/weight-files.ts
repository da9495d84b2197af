import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { CheckpointStore } from '@saccade/core/nn';
import { checkpointFile } from '@saccade/core/node';
import { cacheFolder } from '@saccade/gpu-runner';

/**
 * Where trained weights and unfinished runs are kept: `<preset>-<gate>-<seed>.safetensors` and `.training` in the user's cache folder,
 * which `tools/oracle/train_gated_attention.py` fills as well.
 */
export class WeightFiles {
  readonly #weights: string;
  readonly #unfinished: string;

  constructor(preset: string, gate: string, seed: number) {
    const folder = join(cacheFolder(), 'gated-attention');
    mkdirSync(folder, { recursive: true });
    this.#weights = join(folder, `${preset}-${gate}-${seed}.safetensors`);
    this.#unfinished = join(folder, `${preset}-${gate}-${seed}.training`);
  }

  /** The weights of a run that came to its end. */
  get weights(): Uint8Array | undefined {
    return existsSync(this.#weights) ? readFileSync(this.#weights) : undefined;
  }

  /** The latest checkpoint of a run that did not. */
  get unfinished(): CheckpointStore {
    return checkpointFile(this.#unfinished);
  }

  /** Keeps the weights in place of the checkpoint. */
  finish(weights: Uint8Array): void {
    writeFileSync(`${this.#weights}.new`, weights);
    renameSync(`${this.#weights}.new`, this.#weights);
    rmSync(this.#unfinished, { force: true });
  }
}
