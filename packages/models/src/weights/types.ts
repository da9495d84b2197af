import type { BlockType } from '@saccade/core';

export { WeightFileError, type WeightFileErrorCode } from './weight-file-error.ts';

/** Element types of weights: plain ones, and GGUF's quantized blocks. */
export type WeightDtype = 'f32' | 'f16' | 'bf16' | BlockType;

/** Rows [start, end) of a tensor, along its outermost dimension. */
export interface RowRange {
  readonly start: number;
  readonly end: number;
}

/** One tensor of a weight file. */
export interface WeightInfo {
  /** Canonical name, as Hugging Face's checkpoints have it: `model.layers.0.self_attn.q_proj.weight`. */
  readonly name: string;
  /** Name in the file itself: `blk.0.attn_q.weight`. */
  readonly storedName: string;
  /** Row-major, outermost dimension first. */
  readonly shape: readonly number[];
  readonly dtype: WeightDtype;
  readonly byteLength: number;
}

/** A value of a GGUF file's metadata. */
export type MetadataValue = string | number | bigint | boolean | readonly MetadataValue[];

/**
 * An open weight file: its header is read, its tensors are read one at a time on demand, so that host memory holds no more
 * than the tensors that the caller holds.
 */
export interface WeightFile {
  readonly format: 'gguf' | 'safetensors';
  /** GGUF's key-value pairs; safetensors' `__metadata__`. */
  readonly metadata: ReadonlyMap<string, MetadataValue>;
  /** Canonical names of all tensors. */
  tensorNames(): readonly string[];
  has(name: string): boolean;
  /** @throws WeightFileError `not-found` */
  info(name: string): WeightInfo;
  /**
   * Bytes of one tensor, in the file's order (little-endian).
   * @param rows Only these rows, so that a large tensor can be read part by part.
   * @throws WeightFileError `not-found`, `truncated`, `closed`; ArgumentError for rows that the tensor has not
   */
  read(name: string, rows?: RowRange): Promise<Uint8Array<ArrayBuffer>>;
  /** Idempotent. */
  close(): Promise<void>;
}

/** Random access to the bytes of a file. */
export interface ByteSource {
  /** File name, for messages. */
  readonly name: string;
  readonly size: number;
  /**
   * @param offset In bytes; `offset + length` may not pass `size`.
   * @throws WeightFileError `truncated` where the file is shorter
   */
  read(offset: number, length: number): Promise<Uint8Array<ArrayBuffer>>;
  close(): Promise<void>;
}
