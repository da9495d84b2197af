/** Levenshtein distance between two strings: insertions, deletions and substitutions cost one each. */
export function editDistance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let row = 1; row <= a.length; row++) {
    const current = [row];
    for (let column = 1; column <= b.length; column++) {
      const substitution = (previous[column - 1] as number) + (a[row - 1] === b[column - 1] ? 0 : 1);
      const shift = Math.min(previous[column] as number, current[column - 1] as number) + 1;
      current.push(Math.min(substitution, shift));
    }
    previous = current;
  }
  return previous[b.length] as number;
}

/**
 * The names that somebody who typed `given` may have meant, nearest first: those within a third of the typed
 * letters (at least two), and those that contain what was typed or are contained in it. Case does not count.
 */
export function nearNames(given: string, names: Iterable<string>, limit = 3): string[] {
  const typed = given.toLowerCase();
  const allowed = Math.max(2, Math.floor(typed.length / 3));
  return [...names]
    .map((name) => {
      const candidate = name.toLowerCase();
      const contains = typed.length >= 3 && (candidate.includes(typed) || typed.includes(candidate));
      const distance = editDistance(typed, candidate);
      return { name, distance: contains ? Math.min(distance, 1) : distance };
    })
    .filter(({ distance, name }) => distance <= allowed && distance < Math.max(typed.length, name.length))
    .sort((a, b) => a.distance - b.distance)
    .slice(0, limit)
    .map(({ name }) => name);
}
