/** Bytes of a slot: what a dynamic offset into a uniform buffer must be a multiple of on every device. */
export const slotBytes = 256;

/** Parameters of dispatches, each in a slot of its own; `offset` says which one is being filled. */
export class ParameterSlots {
  /** In bytes. */
  offset = 0;
  #bytes: ArrayBuffer;
  #floats: Float32Array;
  #words: Uint32Array;

  constructor(slots: number) {
    this.#bytes = new ArrayBuffer(slotBytes * slots);
    this.#floats = new Float32Array(this.#bytes);
    this.#words = new Uint32Array(this.#bytes);
  }

  get bytes(): ArrayBuffer {
    return this.#bytes;
  }

  /** Begins the slot of this number; makes room where there is none. */
  begin(slot: number): this {
    this.offset = slot * slotBytes;
    if (this.offset >= this.#bytes.byteLength) {
      const words = this.#words;
      this.#bytes = new ArrayBuffer(2 * this.#bytes.byteLength);
      this.#floats = new Float32Array(this.#bytes);
      this.#words = new Uint32Array(this.#bytes);
      this.#words.set(words);
    }
    return this;
  }

  /** The range of workgroups that the dispatch runs, in the first words (`rangeParameters` of them); an empty one runs none. */
  setWorkgroups(first: number, end: number): void {
    this.setUnsigned(0, first);
    this.setUnsigned(1, end);
  }

  setFloat(index: number, value: number): void {
    this.#floats[this.offset / 4 + index] = value;
  }

  /** Also of signed integers, whose bits are the same. */
  setUnsigned(index: number, value: number): void {
    this.#words[this.offset / 4 + index] = value;
  }

  /** Fills the slot with that at `offset` of others. */
  copyFrom(others: ParameterSlots, offset: number): void {
    this.#words.set(others.#words.subarray(offset / 4, (offset + slotBytes) / 4), this.offset / 4);
  }
}
