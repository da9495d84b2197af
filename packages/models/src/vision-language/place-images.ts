import { ArgumentError, type ImageGrid, type ImageSpan, type PromptSpans, type TextSpan } from '@saccade/core';
import { tokenOffsets } from '../tokenizer/token-offsets.ts';
import type { Tokenizer } from '../tokenizer/types.ts';
import type { RenderedPrompt } from './render-prompt.ts';
import type { ImageTokens, VisionLanguageConfig } from './vision-language-config.ts';

/** A prompt in tokens, images placed. */
export interface PlacedPrompt {
  readonly ids: readonly number[];
  readonly spans: PromptSpans;
  /** Positions of all tokens of images, in the order of the images' features. */
  readonly imagePositions: readonly number[];
}

type Range = readonly [from: number, to: number];

/**
 * Puts the tokens of images into a rendered prompt and tells which position holds what.
 *
 * @throws ArgumentError where the prompt holds more or fewer images than were given
 */
export function placeImages(
  tokenizer: Tokenizer,
  config: VisionLanguageConfig,
  { text, question, userStart }: RenderedPrompt,
  images: readonly ImageTokens[],
): PlacedPrompt {
  const token = imageToken(tokenizer, config);
  const pieces = text.split(token);
  if (pieces.length - 1 !== images.length) {
    throw new ArgumentError(
      'prompt: images',
      `${images.length} images`,
      `${pieces.length - 1}, as many as the prompt has places for (${token})`,
    );
  }
  let expanded = '';
  const placeholders: Range[] = [];
  /** Of each piece: where it began, and where it begins now. */
  const moves: Range[] = [];
  let before = 0;
  for (const [index, piece] of pieces.entries()) {
    moves.push([before, expanded.length]);
    expanded += piece;
    before += piece.length + token.length;
    const tokens = images[index];
    if (!tokens) continue;
    const placeholder = config.placeholder(token, tokens);
    placeholders.push([expanded.length, expanded.length + placeholder.length]);
    expanded += placeholder;
  }
  const moved = (at: number): number => {
    const [from, to] = moves.findLast(([start]) => start <= at) as Range;
    return to + at - from;
  };
  const { bos } = tokenizer.specialTokens;
  const begun = bos !== undefined && expanded.startsWith(tokenizer.decode([bos], { skipSpecialTokens: false }));
  const ids = tokenizer.encode(expanded, { addSpecialTokens: !begun });
  const offsets = tokenOffsets(tokenizer, ids, expanded);
  const cells = ids.flatMap((id, position) => (id === config.imageId ? [position] : []));
  const spans = imageSpans(ids, offsets, cells, placeholders, images, config);
  const system = userStart === undefined ? undefined : leadingSpan(expanded, offsets, moved(userStart));
  const asked = textSpan(
    expanded,
    offsets,
    question.map(([from, to]) => [moved(from), moved(from) + to - from]),
  );
  return {
    ids,
    spans: {
      length: ids.length,
      ...(system ? { system } : {}),
      images: spans,
      ...(asked ? { question: asked } : {}),
    },
    imagePositions: cells,
  };
}

/** The text of the token that stands for an image. */
export function imageToken(tokenizer: Tokenizer, { imageId }: VisionLanguageConfig): string {
  return tokenizer.decode([imageId], { skipSpecialTokens: false });
}

/** Tokens of an image's cells, and those of class tokens that are kept. */
export function imageTokenCount({ rows, columns, leading, tileRows, tileColumns }: ImageTokens): number {
  return (rows * columns + leading) * (tileRows * tileColumns + 1);
}

function imageSpans(
  ids: readonly number[],
  offsets: readonly Range[],
  cells: readonly number[],
  placeholders: readonly Range[],
  images: readonly ImageTokens[],
  { markerIds }: VisionLanguageConfig,
): ImageSpan[] {
  const expected = images.reduce((sum, image) => sum + imageTokenCount(image), 0);
  if (cells.length !== expected) {
    throw new ArgumentError('prompt: images', `${cells.length} tokens of images`, `${expected} for these images`);
  }
  let used = 0;
  return images.map((tokens, image) => {
    const own = cells.slice(used, used + imageTokenCount(tokens));
    used += own.length;
    const [from, to] = placeholders[image] as Range;
    const inside = offsets.flatMap(([start, end], position) =>
      end > start && start >= from && end <= to ? [position] : [],
    );
    let start = Math.min(inside[0] ?? own[0] ?? 0, own[0] ?? 0);
    let end = Math.max(inside.at(-1) ?? 0, own.at(-1) ?? 0) + 1;
    if (markerIds.includes(ids[start - 1] as number)) start--;
    if (markerIds.includes(ids[end] as number)) end++;
    return { image, start, end, ...gridOf(own, tokens) };
  });
}

/** The grid of an image's cells, put together from its tiles, and the whole image behind them. */
function gridOf(own: readonly number[], tokens: ImageTokens): ImageGrid & { readonly overview?: ImageGrid } {
  const { rows, columns, leading, tileRows, tileColumns } = tokens;
  const perPicture = rows * columns + leading;
  const picture = (index: number) => own.slice(index * perPicture + leading, (index + 1) * perPicture);
  const wholeGrid = { rows, columns, positions: picture(tileRows * tileColumns) };
  if (tileRows === 0) return wholeGrid;
  const [allRows, allColumns] = [tileRows * rows, tileColumns * columns];
  const positions = Array.from({ length: allRows * allColumns }, (_, index) => {
    const [row, column] = [Math.floor(index / allColumns), index % allColumns];
    const tile = Math.floor(row / rows) * tileColumns + Math.floor(column / columns);
    return picture(tile)[(row % rows) * columns + (column % columns)] as number;
  });
  return { rows: allRows, columns: allColumns, positions, overview: wholeGrid };
}

/** Tokens before a character. */
function leadingSpan(text: string, offsets: readonly Range[], end: number): TextSpan | undefined {
  const beyond = offsets.findIndex(([, to]) => to > end);
  const count = beyond < 0 ? offsets.length : beyond;
  if (count === 0) return undefined;
  return {
    start: 0,
    end: count,
    positions: Array.from({ length: count }, (_, position) => position),
    text: text.slice(0, end),
    characters: offsets.slice(0, count).map(([from, to]) => [from, to]),
  };
}

/** Tokens of some stretches of the text, whose characters are counted as if they followed one another, a line each. */
function textSpan(text: string, offsets: readonly Range[], ranges: readonly Range[]): TextSpan | undefined {
  const positions: number[] = [];
  const characters: Range[] = [];
  let told = '';
  for (const [from, to] of ranges) {
    if (told !== '') told += '\n';
    const base = told.length;
    told += text.slice(from, to);
    for (const [position, [start, end]] of offsets.entries()) {
      if (start >= end || end <= from || start >= to || positions.includes(position)) continue;
      positions.push(position);
      characters.push([base + Math.max(start, from) - from, base + Math.min(end, to) - from]);
    }
  }
  if (positions.length === 0) return undefined;
  return {
    start: positions[0] as number,
    end: (positions.at(-1) as number) + 1,
    positions,
    text: told,
    characters,
  };
}
