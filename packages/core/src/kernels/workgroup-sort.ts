/**
 * Declares the workgroup arrays `sort_keys` and `sort_items` and `sort_block(lane, count)`, which sorts their first
 * `count` <= `capacity` entries by key, descending and stable. Call in uniform control flow with a uniform count, after a
 * barrier that made the entries visible; it ends with one.
 *
 * Each entry finds its own place: by counting inside blocks of 16, then by binary search in the neighbouring run.
 * That is a tenth of the barriers of a bitonic network. Needs 8 * capacity bytes of workgroup memory.
 */
export function workgroupSortFunction(capacity: number, lanes: number): string {
  const perLane = Math.max(capacity / lanes, 1);
  // The bound is not a constant, lest compilers unroll the searches.
  const forEntries = (body: string) => `
  for (var slot = 0u; lane + slot * ${lanes}u < count; slot++) {
    let at = lane + slot * ${lanes}u;${body}
  }`;
  const move = `${forEntries(`
      sort_keys[place[slot]] = key[slot];
      sort_items[place[slot]] = item[slot];`)}
  workgroupBarrier();`;
  return `
var<workgroup> sort_keys: array<u32, ${capacity}>;
var<workgroup> sort_items: array<u32, ${capacity}>;
fn sort_block(lane: u32, count: u32) {
  var key: array<u32, ${perLane}>;
  var item: array<u32, ${perLane}>;
  var place: array<u32, ${perLane}>;${forEntries(`
      let own = sort_keys[at];
      let start = at & ~15u;
      var rank = start;
      for (var other = start; other < min(start + 16u, count); other++) {
        let theirs = sort_keys[other];
        rank += u32(theirs > own || (theirs == own && other < at));
      }
      key[slot] = own;
      item[slot] = sort_items[at];
      place[slot] = rank;`)}
  workgroupBarrier();${move}
  for (var width = 16u; width < count; width *= 2u) {${forEntries(`
      let own = sort_keys[at];
      let left = (at & width) == 0u;
      // Entries of the neighbouring run that stand before this one: larger keys, and equal ones if that run is the left.
      let first = min((at & ~(width - 1u)) ^ width, count);
      var low = first;
      var high = min(first + width, count);
      while (low < high) {
        let middle = (low + high) / 2u;
        let theirs = sort_keys[middle];
        if (theirs > own || (theirs == own && !left)) { low = middle + 1u; } else { high = middle; }
      }
      key[slot] = own;
      item[slot] = sort_items[at];
      place[slot] = (at & ~width) + (low - first);`)}
    workgroupBarrier();${move}
  }
}`;
}
