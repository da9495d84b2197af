/** Just enough of Protocol Buffers to write a message: fields of varint, bytes and f32. */
export type Message = Uint8Array;

export function varint(value: number): number[] {
  const bytes: number[] = [];
  let rest = BigInt.asUintN(64, BigInt(value));
  while (rest > 0x7fn) {
    bytes.push(Number(rest & 0x7fn) | 0x80);
    rest >>= 7n;
  }
  return [...bytes, Number(rest)];
}

export function integerField(field: number, value: number): Message {
  return Uint8Array.from([...varint(field * 8), ...varint(value)]);
}

export function floatField(field: number, value: number): Message {
  return join([Uint8Array.from(varint(field * 8 + 5)), new Uint8Array(Float32Array.of(value).buffer)]);
}

/** A string, raw bytes or a nested message. */
export function bytesField(field: number, value: Message | string): Message {
  const content = typeof value === 'string' ? new TextEncoder().encode(value) : value;
  return join([Uint8Array.from([...varint(field * 8 + 2), ...varint(content.byteLength)]), content]);
}

export function join(parts: readonly Message[]): Message {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.byteLength, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.byteLength;
  }
  return whole;
}
