import { ArgumentError, gridTokens, type Mask, type TokenGrid } from '@saccade/core';
import type { ResolvedReTtentionOptions } from './options.ts';

/** Which keys each token keeps, the same in all heads and steps. */
export type StaticMask = WindowMask | FramewiseMask;

/** Tokens at most `half` apart in the sequence, whatever their place in the image. */
export interface WindowMask {
  readonly kind: 'window';
  readonly half: number;
}

/** All text, and in every frame the tokens at most `half` apart from the token's own place in its frame. Text sees all. */
export interface FramewiseMask {
  readonly kind: 'framewise';
  readonly half: number;
  readonly frames: number;
  readonly tokensPerFrame: number;
  readonly textTokens: number;
  /** Whether the text stands before the frames. */
  readonly textFirst: boolean;
}

/** Half the width of a window over `tokens`, floor(floor(tokens density) / 2). */
function halfWidth(tokens: number, density: number): number {
  if (!(density > 0 && density <= 1))
    throw new ArgumentError('re-ttention: density', density, 'a share over 0, up to 1');
  return Math.floor(Math.floor(tokens * density) / 2);
}

/** The mask of images: a window over the row-major tokens, cut at the ends. @throws ArgumentError */
export function windowMask(tokens: number, density: number): WindowMask {
  return { kind: 'window', half: halfWidth(tokens, density) };
}

/** The mask of videos, cut at the ends of frames. @throws ArgumentError */
export function framewiseWindowMask(
  layout: Omit<FramewiseMask, 'kind' | 'half'> & { readonly density: number },
): FramewiseMask {
  const { density, ...rest } = layout;
  return { kind: 'framewise', half: halfWidth(layout.tokensPerFrame, density), ...rest };
}

/**
 * The mask of a sequence whose tokens lie so.
 *
 * @throws ArgumentError for a grid of another number of tokens
 */
export function maskOfGrid(
  tokens: number,
  grid: TokenGrid | undefined,
  { density, mask }: Pick<ResolvedReTtentionOptions, 'density' | 'mask'>,
): StaticMask {
  const framewise =
    mask === 'framewise' || (mask === 'auto' && ((grid?.frames ?? 1) > 1 || (grid?.textTokens ?? 0) > 0));
  if (!framewise) return windowMask(tokens, density);
  if (!grid || gridTokens(grid) !== tokens) {
    throw new ArgumentError('re-ttention: token grid', grid, `one of ${tokens} tokens, which a framewise mask needs`);
  }
  const { frames = 1, height, width, textTokens, textFirst } = grid;
  return framewiseWindowMask({ frames, tokensPerFrame: height * width, textTokens, textFirst, density });
}

/** Whether token `query` keeps token `key`. */
export function keeps(mask: StaticMask, query: number, key: number): boolean {
  if (mask.kind === 'window') return Math.abs(query - key) <= mask.half;
  const { half, frames, tokensPerFrame, textTokens, textFirst } = mask;
  const start = textFirst ? textTokens : 0;
  const place = (token: number) =>
    token >= start && token < start + frames * tokensPerFrame ? (token - start) % tokensPerFrame : undefined;
  const [own, other] = [place(query), place(key)];
  return own === undefined || other === undefined || Math.abs(own - other) <= half;
}

/** Keys that the tokens of a sequence keep, in all. */
export function keptKeys(mask: StaticMask, tokens: number): number {
  const inWindow = (length: number, half: number) => {
    const reach = Math.min(half, length - 1);
    return length * (2 * reach + 1) - reach * (reach + 1);
  };
  if (mask.kind === 'window') return inWindow(tokens, mask.half);
  const { half, frames, tokensPerFrame, textTokens } = mask;
  const video = frames * tokensPerFrame;
  return textTokens * (textTokens + 2 * video) + frames ** 2 * inWindow(tokensPerFrame, half);
}

/** The mask as attention takes it. */
export function attentionMask(mask: StaticMask): Mask {
  if (mask.kind === 'window') return { kind: 'slidingWindow', before: mask.half, after: mask.half };
  const { half, frames, tokensPerFrame, textTokens, textFirst } = mask;
  return {
    kind: 'custom',
    numbers: { half, tokensPerFrame, start: textFirst ? textTokens : 0, video: frames * tokensPerFrame },
    // Places in a frame by division in f32, which is exact for so few tokens and cheaper than of integers.
    wgsl: ({ queryPosition, keyPosition, number }) => {
      const at = (position: string) => `(f32(${position}) - ${number('start')})`;
      const place = (position: string) =>
        `(${at(position)} - ${number('tokensPerFrame')} * floor((${at(position)} + 0.5) / ${number('tokensPerFrame')}))`;
      const text = (position: string) => `(${at(position)} < 0.0 || ${at(position)} >= ${number('video')})`;
      return `(${text(queryPosition)} || ${text(keyPosition)} || abs(${place(queryPosition)} - ${place(keyPosition)}) <= ${number('half')})`;
    },
    reference: ({ queryPosition, keyPosition }) => keeps(mask, queryPosition, keyPosition),
  };
}
