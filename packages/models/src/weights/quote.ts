const longest = 120;

/** A value of a file as an error shows it: JSON, but short, whatever the file holds. */
export function quote(value: unknown): string {
  const text = toJson(value);
  return text.length <= longest ? text : `${text.slice(0, longest)}…`;
}

function toJson(value: unknown): string {
  if (typeof value === 'string' && value.length > longest) return JSON.stringify(value.slice(0, longest));
  try {
    return (
      JSON.stringify(value, (_key, item: unknown) => (typeof item === 'bigint' ? Number(item) : item)) ?? String(value)
    );
  } catch {
    // Nested too deeply.
    return 'a nested value';
  }
}
