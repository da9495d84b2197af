/** Where a run keeps its latest checkpoint. */
export interface CheckpointStore {
  /** The latest, undefined where there is none. */
  read(): Promise<Uint8Array | undefined>;
  /** Replaces it. Where this fails, the one before must stay. */
  write(checkpoint: Uint8Array): Promise<void>;
}
