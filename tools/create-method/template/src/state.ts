/** What one run keeps between layers and steps. */
export interface NewMethodState {
  /** Key rows read so far, per key/value head, over all layers and decode steps. */
  keysRead: number;
}
