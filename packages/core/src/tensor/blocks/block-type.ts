/** Block-quantized types of GGUF files, as ggml names them. */
export type BlockType =
  | 'q4_0'
  | 'q4_1'
  | 'q5_0'
  | 'q5_1'
  | 'q8_0'
  | 'iq4_nl'
  | 'q2_k'
  | 'q3_k'
  | 'q4_k'
  | 'q5_k'
  | 'q6_k';

/** Elements and bytes of one block in a file. */
export const blockSizes: Readonly<Record<BlockType, { readonly elements: number; readonly bytes: number }>> = {
  q4_0: { elements: 32, bytes: 18 },
  q4_1: { elements: 32, bytes: 20 },
  q5_0: { elements: 32, bytes: 22 },
  q5_1: { elements: 32, bytes: 24 },
  q8_0: { elements: 32, bytes: 34 },
  iq4_nl: { elements: 32, bytes: 18 },
  q2_k: { elements: 256, bytes: 84 },
  q3_k: { elements: 256, bytes: 110 },
  q4_k: { elements: 256, bytes: 144 },
  q5_k: { elements: 256, bytes: 176 },
  q6_k: { elements: 256, bytes: 210 },
};

export const blockTypes = Object.keys(blockSizes) as readonly BlockType[];

export function isBlockType(type: string): type is BlockType {
  return Object.hasOwn(blockSizes, type);
}

/** Decodes one block: its bytes begin at `at`, its numbers go to `out` from `to` on. */
export type BlockDecoder = (bytes: Uint8Array, at: number, out: Float32Array, to: number) => void;
