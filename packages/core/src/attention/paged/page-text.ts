import {
  blockLayout,
  fullRowWords,
  type PageFormat,
  type PageSide,
  type PageSizes,
  type QuantizedLayout,
} from './page-format.ts';

/**
 * WGSL that reads numbers of pages. A page table entry is the word where a head's block starts, a multiple of four, plus the
 * number of the page's format.
 */
export interface PageAccess extends PageSizes {
  /** Prefix of the functions. */
  readonly name: string;
  /** Name of the buffer of words. */
  readonly buffer: string;
  readonly side: PageSide;
  /** At most four. */
  readonly formats: readonly PageFormat[];
  /** Reads the high bits only, where formats have low ones apart. */
  readonly highOnly: boolean;
}

/** Declares `<name>_page_quad(entry, slot, quad) -> vec4f`. */
export function pageQuadFunction(access: PageAccess): string {
  return `
fn ${access.name}_page_quad(entry: u32, slot: u32, quad: u32) -> vec4f {
  let block = entry & 0xfffffffcu;${byFormat(access, (format) => quadText(access, format))}
}`;
}

/** Declares `<name>_page_element(entry, slot, d) -> f32`. */
export function pageElementFunction(access: PageAccess): string {
  return `
fn ${access.name}_page_element(entry: u32, slot: u32, d: u32) -> f32 {
  let block = entry & 0xfffffffcu;${byFormat(access, (format) => elementText(access, format))}
}`;
}

/** Statements that return what `read` does for the format of the entry. */
function byFormat({ formats }: PageAccess, read: (format: PageFormat) => string): string {
  const [only, ...others] = formats;
  if (only && others.length === 0) return read(only);
  const cases = formats.map((format, index) => {
    const label = index === formats.length - 1 ? 'default' : `case ${index}u`;
    return `
    ${label}: {${read(format)}
    }`;
  });
  return `
  switch (entry & 3u) {${cases.join('')}
  }`;
}

/** Statements that return four numbers of a page in `format`. */
function quadText(access: PageAccess, format: PageFormat): string {
  const { buffer, side, headSize, highOnly } = access;
  const { fullValues, ...sides } = blockLayout(format, access);
  if (format.kind === 'full') {
    const words = fullRowWords(format.dtype, headSize);
    const start = side === 'values' ? ` + ${fullValues}u` : '';
    if (format.dtype === 'f32') {
      return `
      let at = block${start} + slot * ${words}u + 4u * quad;
      return bitcast<vec4f>(vec4u(${buffer}[at], ${buffer}[at + 1u], ${buffer}[at + 2u], ${buffer}[at + 3u]));`;
    }
    return `
      let at = block${start} + slot * ${words}u + 2u * quad;
      return vec4f(unpack2x16float(${buffer}[at]), unpack2x16float(${buffer}[at + 1u]));`;
  }
  const layout = sides[side] as QuantizedLayout;
  const { per, lowBits } = layout.format;
  const planes = highOnly ? layout.high : [...layout.high, ...layout.low];
  const fields = planes.map(({ width, start }) => {
    const shifts = `vec4u(0u, ${width}u, ${2 * width}u, ${3 * width}u)`;
    const perWord = 8 / width;
    const word = `${buffer}[block + ${start}u + index${perWord === 1 ? '' : ` / ${perWord}u`}]`;
    const own = perWord === 1 ? word : `(${word} >> (index % ${perWord}u * ${4 * width}u))`;
    return `
      code = (code << vec4u(${width}u)) | ((vec4u(${own}) >> ${shifts}) & vec4u(${2 ** width - 1}u));`;
  });
  const code = highOnly && lowBits > 0 ? `(code << vec4u(${lowBits}u))` : 'code';
  const range = (at: string) => `unpack2x16float(${buffer}[block + ${layout.ranges}u + ${at}])`;
  const value =
    per === 'channel'
      ? `
      let range_0 = ${range('4u * quad')};
      let range_1 = ${range('4u * quad + 1u')};
      let range_2 = ${range('4u * quad + 2u')};
      let range_3 = ${range('4u * quad + 3u')};
      return vec4f(range_0.x, range_1.x, range_2.x, range_3.x) + vec4f(range_0.y, range_1.y, range_2.y, range_3.y) * vec4f(${code});`
      : `
      let range = ${range('slot')};
      let value = range.x + range.y * vec4f(${code});`;
  const norm = (at: string) => `unpack2x16float(${buffer}[block + ${layout.norms}u + ${at}])`;
  const result =
    per === 'channel'
      ? ''
      : per === 'token'
        ? `
      return value;`
        : `
      return value * vec4f(${norm('2u * quad')}, ${norm('2u * quad + 1u')});`;
  return `
      let index = slot * ${headSize / 4}u + quad;
      var code = vec4u();${fields.join('')}${value}${result}`;
}

/** Statements that return one number. */
function elementText(access: PageAccess, format: PageFormat): string {
  const { buffer, side, headSize, highOnly } = access;
  const { fullValues, ...sides } = blockLayout(format, access);
  if (format.kind === 'full') {
    const words = fullRowWords(format.dtype, headSize);
    const start = `block${side === 'values' ? ` + ${fullValues}u` : ''} + slot * ${words}u`;
    return format.dtype === 'f32'
      ? `
      return bitcast<f32>(${buffer}[${start} + d]);`
      : `
      return unpack2x16float(${buffer}[${start} + d / 2u])[d & 1u];`;
  }
  const layout = sides[side] as QuantizedLayout;
  const { per, lowBits } = layout.format;
  const planes = highOnly ? layout.high : [...layout.high, ...layout.low];
  const fields = planes.map(
    ({ width, start }) => `
      code = (code << ${width}u) | ((${buffer}[block + ${start}u + index / ${32 / width}u] >> (index % ${32 / width}u * ${width}u)) & ${2 ** width - 1}u);`,
  );
  const code = highOnly && lowBits > 0 ? `(code << ${lowBits}u)` : 'code';
  const norm = `unpack2x16float(${buffer}[block + ${layout.norms}u + d / 2u])[d & 1u]`;
  return `
      let index = slot * ${headSize}u + d;
      var code = 0u;${fields.join('')}
      let range = unpack2x16float(${buffer}[block + ${layout.ranges}u + ${per === 'channel' ? 'd' : 'slot'}]);
      return (range.x + range.y * f32(${code}))${per === 'channelSeparable' ? ` * ${norm}` : ''};`;
}
