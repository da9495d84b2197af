/** Tokens of a text in a prompt. */
export interface TextSpan {
  /** Position of its first token. */
  readonly start: number;
  /** One past the position of its last token; an image may stand in between. */
  readonly end: number;
  /** Positions of its tokens, ascending. */
  readonly positions: readonly number[];
  /** What its tokens say. */
  readonly text: string;
  /**
   * For each of the positions the characters [from, to) of `text` that the token stands for. Tokens that share a character
   * (parts of its bytes) have the same.
   */
  readonly characters: readonly (readonly [from: number, to: number])[];
}

/** Tokens that stand for the cells of a picture. */
export interface ImageGrid {
  readonly rows: number;
  readonly columns: number;
  /** Positions of the cells' tokens, row by row: [rows * columns]. */
  readonly positions: readonly number[];
}

/** Tokens of one image. */
export interface ImageSpan extends ImageGrid {
  /** Which of the prompt's images it is, 0-based. */
  readonly image: number;
  /** Position of the first token that is there because of the image, markers around it included. */
  readonly start: number;
  /** One past the last such token. */
  readonly end: number;
  /** The whole image once more, small, where the grid is put together from tiles. */
  readonly overview?: ImageGrid;
}

/** Which positions of a prompt hold what. Models with images know it of each prompt. */
export interface PromptSpans {
  /** Tokens of the prompt. */
  readonly length: number;
  /** What stands before the first user message, markers of the template and the beginning of text included. */
  readonly system?: TextSpan;
  /** In the order of the text. */
  readonly images: readonly ImageSpan[];
  /** The text of the last user message, without the markers around it. */
  readonly question?: TextSpan;
}

/** Spans of a sequence while it runs. */
export interface SequenceSpans extends PromptSpans {
  /** Tokens behind the prompt, up to the end of this pass. */
  readonly response: { readonly start: number; readonly end: number };
}

/** Spans that a method may ask for. */
export type SpanName = 'system' | 'image' | 'question';

/** Positions of all tokens that hold an image, ascending; the markers around them are left out. */
export function imagePositions({ positions, overview }: ImageSpan): number[] {
  return [...positions, ...(overview?.positions ?? [])].sort((a, b) => a - b);
}

/** Those of the wanted spans that a prompt lacks. */
export function missingSpans(wanted: readonly SpanName[], spans: PromptSpans | undefined): SpanName[] {
  return wanted.filter((name) =>
    name === 'image' ? (spans?.images.length ?? 0) === 0 : (spans?.[name]?.positions.length ?? 0) === 0,
  );
}

/** Spans of a prompt whose tokens of images, markers included, were taken out; `kept` are the old positions of the others. */
export function spansWithoutImages(spans: PromptSpans, kept: readonly number[]): PromptSpans {
  const places = new Map(kept.map((position, place) => [position, place]));
  const move = (span: TextSpan | undefined): TextSpan | undefined => {
    if (!span) return undefined;
    const rows = span.positions.flatMap((position, index) => {
      const place = places.get(position);
      return place === undefined ? [] : [{ place, characters: span.characters[index] as readonly [number, number] }];
    });
    return {
      start: rows[0]?.place ?? 0,
      end: (rows.at(-1)?.place ?? -1) + 1,
      positions: rows.map(({ place }) => place),
      text: span.text,
      characters: rows.map(({ characters }) => characters),
    };
  };
  const [system, question] = [move(spans.system), move(spans.question)];
  return { length: kept.length, images: [], ...(system ? { system } : {}), ...(question ? { question } : {}) };
}

/** Spans of a sequence of `seen` tokens. */
export function spansUpTo(spans: PromptSpans | undefined, seen: number): SequenceSpans | undefined {
  return spans && { ...spans, response: { start: spans.length, end: Math.max(spans.length, seen) } };
}
