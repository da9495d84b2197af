/** WGSL: how many heads come before one by a value that `value` gives of `head`; of equal ones the first comes first. */
export function rankFunction(name: string, value: string): string {
  return `
fn ${name}_value(head: u32) -> f32 { return ${value}; }
fn ${name}(own: u32, heads: u32) -> u32 {
  let mine = ${name}_value(own);
  var before = 0u;
  for (var other = 0u; other < heads; other++) {
    let theirs = ${name}_value(other);
    before += u32(theirs > mine || (theirs == mine && other < own));
  }
  return before;
}`;
}
