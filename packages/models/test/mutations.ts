/** Whole numbers that overflow something, or nearly. */
const extremes = [
  0n,
  1n,
  2n ** 31n - 1n,
  2n ** 31n,
  2n ** 32n - 1n,
  2n ** 32n,
  2n ** 40n,
  2n ** 53n - 1n,
  2n ** 53n,
  2n ** 60n,
  2n ** 63n,
  2n ** 64n - 1n,
];

type Random = () => number;
type Mutation = (bytes: Uint8Array<ArrayBuffer>, random: Random, headerBytes: number) => Uint8Array<ArrayBuffer>;

const upTo = (random: Random, end: number) => Math.floor(random() * end);

function joined(...parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.byteLength, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.byteLength;
  }
  return out;
}

const changeBytes: Mutation = (bytes, random, headerBytes) => {
  const out = bytes.slice();
  for (let change = 0; change <= random() * 8; change++) out[upTo(random, headerBytes)] = upTo(random, 256);
  return out;
};

const flipBit: Mutation = (bytes, random, headerBytes) => {
  const out = bytes.slice();
  const at = upTo(random, headerBytes);
  out[at] = (out[at] as number) ^ (1 << upTo(random, 8));
  return out;
};

const truncate: Mutation = (bytes, random) => bytes.slice(0, upTo(random, bytes.byteLength));

/** An extreme number over four or eight bytes. */
const overflow: Mutation = (bytes, random, headerBytes) => {
  const out = bytes.slice();
  const value = extremes[upTo(random, extremes.length)] as bigint;
  const view = new DataView(out.buffer);
  const at = upTo(random, Math.max(headerBytes - 8, 1));
  if (out.byteLength < 8) return out;
  if (random() < 0.5) view.setBigUint64(at, value, true);
  else view.setUint32(at, Number(value & 0xffffffffn), true);
  return out;
};

const removeRun: Mutation = (bytes, random, headerBytes) => {
  const start = upTo(random, headerBytes);
  return joined(bytes.subarray(0, start), bytes.subarray(start + 1 + upTo(random, 64)));
};

/** A run twice: names, values and tensors occur twice then, where the run happens to be whole. */
const repeatRun: Mutation = (bytes, random, headerBytes) => {
  const start = upTo(random, headerBytes);
  const end = Math.min(start + 1 + upTo(random, 128), bytes.byteLength);
  return joined(bytes.subarray(0, end), bytes.subarray(start, end), bytes.subarray(end));
};

const moveRun: Mutation = (bytes, random, headerBytes) => {
  const out = bytes.slice();
  const length = 1 + upTo(random, 64);
  out.copyWithin(upTo(random, headerBytes), upTo(random, headerBytes), upTo(random, headerBytes) + length);
  return out;
};

/** A number of a text becomes another one. */
const changeNumber: Mutation = (bytes, random) => {
  const text = new TextDecoder('latin1').decode(bytes);
  const numbers = [...text.slice(0, 4096).matchAll(/\d+/g)];
  const found = numbers[upTo(random, Math.max(numbers.length, 1))];
  if (!found) return bytes.slice();
  const strange = ['-1', '1e400', '0.5', '1e999', 'null', '"8"', '[]', '{}'];
  const value = [...extremes.map(String), ...strange][upTo(random, extremes.length + strange.length)] as string;
  return latin1(text.slice(0, found.index) + value + text.slice(found.index + found[0].length));
};

/** Brackets nested deeply in the place of something. */
const nest: Mutation = (bytes, random, headerBytes) => {
  const at = upTo(random, headerBytes);
  const depth = 10 ** (1 + upTo(random, 4));
  const inner = random() < 0.5 ? ['[', ']'] : ['{"a":', '}'];
  const text = (inner[0] as string).repeat(depth) + (random() < 0.5 ? `1${(inner[1] as string).repeat(depth)}` : '');
  return joined(bytes.subarray(0, at), latin1(text), bytes.subarray(at));
};

function latin1(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}

const mutations = [
  changeBytes,
  flipBit,
  truncate,
  overflow,
  overflow,
  removeRun,
  repeatRun,
  moveRun,
  changeNumber,
  nest,
];

/**
 * A file with one to three things wrong.
 * @param headerBytes Where the header ends: most changes hit it.
 */
export function mutate(bytes: Uint8Array<ArrayBuffer>, headerBytes: number, random: Random): Uint8Array<ArrayBuffer> {
  let out = bytes;
  for (let count = 0; count <= random() * random() * 3; count++) {
    const mutation = mutations[upTo(random, mutations.length)] as Mutation;
    out = mutation(out, random, Math.min(headerBytes, out.byteLength));
  }
  return out;
}
