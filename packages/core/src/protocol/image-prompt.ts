import type { ChatMessage } from './model-handle.ts';

/** Pixels as they are: rows from top to bottom, 8 bits each. */
export interface RawImage {
  readonly width: number;
  readonly height: number;
  /** 1 grey, 2 grey with alpha, 3 RGB, 4 RGBA (not premultiplied). */
  readonly channels: 1 | 2 | 3 | 4;
  /** [height, width, channels] */
  readonly data: Uint8Array | Uint8ClampedArray;
}

/** Pixels, the bytes of a picture file, or where one lies: a path (Node) or an `http`, `https`, `data` or `file` URL. */
export type ImageInput = RawImage | Uint8Array | ArrayBuffer | Blob | string | URL;

/** A part of a message. An image stands for the next of the prompt's images. */
export type ContentPart = { readonly type: 'text'; readonly text: string } | { readonly type: 'image' };

/** A message that may hold images. */
export interface ImageMessage {
  readonly role: ChatMessage['role'];
  readonly content: string | readonly ContentPart[];
}

/**
 * Images with one of: a question about them (rendered by the chat template, images first), a conversation, or a prompt that is
 * rendered already and holds the model's own image token once per image.
 */
export type ImagePrompt = {
  readonly images?: readonly ImageInput[];
} & (
  | { readonly text: string; readonly system?: string; readonly messages?: never; readonly rendered?: never }
  | { readonly messages: readonly ImageMessage[]; readonly text?: never; readonly rendered?: never }
  | {
      readonly rendered: string;
      /** The part of it that is the question, where methods shall know it. */
      readonly question?: string;
      readonly text?: never;
      readonly messages?: never;
    }
);
