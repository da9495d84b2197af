/** Parts of tokenizer.json that tokenizers from GGUF metadata are built of. */

export interface AddedTokenJson {
  readonly id: number;
  readonly content: string;
  readonly special: boolean;
}

/** A token that is found in the text before anything else. */
export function addedToken({ id, content, special }: AddedTokenJson): unknown {
  return { id, content, special, single_word: false, lstrip: false, rstrip: false, normalized: false };
}

/** A post-processor that puts tokens before and behind each text; null without any. */
export function framing(
  before: string | undefined,
  behind: string | undefined,
  ids: (token: string) => number,
): unknown {
  const tokens = [before, behind].filter((token) => token !== undefined);
  if (tokens.length === 0) return null;
  const special = (token: string | undefined, type: number) =>
    token === undefined ? [] : [{ SpecialToken: { id: token, type_id: type } }];
  const framed = (id: string, type: number) => [
    ...special(before, type),
    { Sequence: { id, type_id: type } },
    ...special(behind, type),
  ];
  return {
    type: 'TemplateProcessing',
    single: framed('A', 0),
    pair: [...framed('A', 0), ...framed('B', 1)],
    special_tokens: Object.fromEntries(
      tokens.map((token) => [token, { id: token, ids: [ids(token)], tokens: [token] }]),
    ),
  };
}
