import { planeWidths, type ResolvedNumberFormat } from '../../attention/paged/number-format.ts';
import {
  blockLayout,
  fullRowWords,
  type PageFormat,
  type PageSide,
  type PageSizes,
  type QuantizedLayout,
} from '../../attention/paged/page-format.ts';
import { pageQuadFunction } from '../../attention/paged/page-text.ts';
import type { Gpu } from '../../device/gpu.ts';
import { defineKernel } from '../../kernels/kernel.ts';
import { narrowFunctions } from '../../kernels/wgsl.ts';
import type { Tensor } from '../../tensor/tensor.ts';

interface ConvertVariant extends PageSizes {
  /** JSON of all formats of the layer: a page may be of any. */
  readonly formats: string;
  /** Number of the format that is written. */
  readonly target: number;
  readonly side: PageSide;
  readonly [field: string]: string | number;
}

const lanes = 64;
/** Numbers that one invocation packs: whole words of planes of every width. */
const unit = 16;

/**
 * Rewrites pages in another format, or copies them. One workgroup per page and head. Rows from `count` on are written as zeros.
 *
 * Quantizing, with b bits: of the numbers that share a step, m is the least half not above their minimum and s the least half not
 * below (maximum - m) / (2^b - 1); where symmetric, s is that of the largest magnitude / (2^(b-1) - 1) and m = -2^(b-1) s. A number x
 * becomes the integer nearest to (x - m) / s, halves to even, within [0, 2^b - 1], and reads as m + s times it. So it is off by
 * s / 2 at most, and pages that were unpacked are packed into the same integers.
 */
const convertKernel = defineKernel<ConvertVariant>({
  name: 'cache-convert-pages',
  bindings: () => [
    { name: 'list', type: 'array<u32>', access: 'read' },
    { name: 'pages', type: 'array<u32>', access: 'read_write' },
  ],
  parameters: [
    ['heads', 'u32'],
    ['unit_quads', 'u32'],
  ],
  workgroupSize: () => lanes,
  source: (variant) => {
    const { side, target } = variant;
    const formats = JSON.parse(variant.formats) as PageFormat[];
    const format = formats[target] as PageFormat;
    const layouts = formats.map((each) => blockLayout(each, variant));
    const { keys, values, fullValues, words } = layouts[target] as (typeof layouts)[number];
    const layout = side === 'keys' ? keys : values;
    // Only pages in full precision are quantized; any may be unpacked.
    const read = pageQuadFunction({
      ...{ name: 'source', buffer: 'pages', side, highOnly: false },
      ...{ formats: layout ? formats.slice(0, 1) : formats, pageSize: variant.pageSize, headSize: variant.headSize },
    });
    const blockWords = layouts.map((each) => `${each.words}u`).join(', ');
    const place = `
  let page = group / params.heads;
  let head = group % params.heads;
  var block_words = array<u32, ${layouts.length}>(${blockWords});
  let entry = list[3u * page] + head * block_words[list[3u * page] & 3u];
  let target_block = list[3u * page + 1u] + head * ${words}u;
  let count = list[3u * page + 2u];`;
    if (format.kind === 'full' || !layout) {
      const { dtype } = format as Extract<PageFormat, { kind: 'full' }>;
      return {
        declarations: `${narrowFunctions}${read}`,
        main: `${place}${copyText(dtype, variant, side === 'values' ? fullValues : 0)}`,
      };
    }
    return {
      declarations: `${narrowFunctions}${rangeFunctions(layout.format)}${read}
var<workgroup> least: array<f32, ${rangeCount(layout, variant)}>;
var<workgroup> steps: array<f32, ${rangeCount(layout, variant)}>;
${layout.format.per === 'channelSeparable' ? `var<workgroup> norms: array<f32, ${variant.headSize}>;` : ''}`,
      main: `${place}${rangesText(layout, variant)}${codesText(layout, variant)}`,
    };
  },
});

/** Statements that copy a page in full precision. */
function copyText(dtype: 'f32' | 'f16', { pageSize, headSize }: PageSizes, start: number): string {
  const quads = headSize / 4;
  const rowWords = fullRowWords(dtype, headSize);
  const at = `target_block + ${start}u + slot * ${rowWords}u`;
  const store =
    dtype === 'f32'
      ? [0, 1, 2, 3].map((d) => `pages[${at} + 4u * quad + ${d}u] = bitcast<u32>(value[${d}]);`).join(' ')
      : [0, 2]
          .map(
            (d) =>
              `pages[${at} + 2u * quad + ${d / 2}u] = half_bits(value[${d}]) | (half_bits(value[${d + 1}]) << 16u);`,
          )
          .join(' ');
  return `
  for (var index = lane; index < ${pageSize * quads}u; index += ${lanes}u) {
    let slot = index / ${quads}u;
    let quad = index % ${quads}u;
    var value = vec4f();
    if (slot < count) { value = source_page_quad(entry, slot, quad); }
    ${store}
  }`;
}

/** Ranges of one page and head. */
function rangeCount({ format }: QuantizedLayout, { pageSize, headSize }: PageSizes): number {
  return format.per === 'channel' ? headSize : pageSize;
}

/**
 * Declares `number_range(low, high) -> u32`: smallest number and step as halves, rounded so that they cover what they must.
 * The step gives way by a millionth, so that ranges of numbers that were unpacked are the ones that they were packed with.
 */
function rangeFunctions({ bits, symmetric }: ResolvedNumberFormat): string {
  const levels = 2 ** bits - 1;
  const range = symmetric
    ? `
  let step = half_above(max(abs(low), abs(high)) / ${2 ** (bits - 1) - 1}.0 * 0.999999);
  return half_bits(-${2 ** (bits - 1)}.0 * unpack2x16float(step).x) | (step << 16u);`
    : `
  let least = half_below(low);
  let step = half_above((high - unpack2x16float(least).x) / ${levels}.0 * 0.999999);
  return least | (step << 16u);`;
  return `
fn half_below(value: f32) -> u32 {
  let bits = half_bits(clamp(value, -65504.0, 65504.0));
  if (unpack2x16float(bits).x <= value) { return bits; }
  if ((bits & 0x8000u) != 0u) { return bits + 1u; }
  return select(bits - 1u, 0x8001u, bits == 0u);
}
fn half_above(value: f32) -> u32 {
  return half_below(-value) ^ 0x8000u;
}
fn number_range(low: f32, high: f32) -> u32 {${range}
}`;
}

/** Statements that find and write the ranges of a page, and leave them in workgroup memory. */
function rangesText({ format, ranges, norms }: QuantizedLayout, { pageSize, headSize }: PageSizes): string {
  const quads = headSize / 4;
  const keep = (index: string, low: string, high: string) => `
    {
      let packed = number_range(${low}, ${high});
      pages[target_block + ${ranges}u + ${index}] = packed;
      least[${index}] = unpack2x16float(packed).x;
      steps[${index}] = unpack2x16float(packed).y;
    }`;
  if (format.per === 'channel') {
    return `
  for (var quad = lane; quad < ${quads}u; quad += ${lanes}u) {
    var low = vec4f(3.0e38);
    var high = vec4f(-3.0e38);
    for (var slot = 0u; slot < count; slot++) {
      let value = source_page_quad(entry, slot, quad);
      low = min(low, value);
      high = max(high, value);
    }${[0, 1, 2, 3].map((d) => keep(`4u * quad + ${d}u`, `low[${d}]`, `high[${d}]`)).join('')}
  }
  workgroupBarrier();`;
  }
  const separable = format.per === 'channelSeparable';
  const divisors = separable
    ? `
  for (var quad = lane; quad < ${quads}u; quad += ${lanes}u) {
    var most = vec4f();
    for (var slot = 0u; slot < count; slot++) { most = max(most, abs(source_page_quad(entry, slot, quad))); }
    let roots = sqrt(most);
    let words = vec2u(half_bits(roots.x) | (half_bits(roots.y) << 16u), half_bits(roots.z) | (half_bits(roots.w) << 16u));
    let rounded = vec4f(unpack2x16float(words.x), unpack2x16float(words.y));
    pages[target_block + ${norms}u + 2u * quad] = words.x;
    pages[target_block + ${norms}u + 2u * quad + 1u] = words.y;
    for (var d = 0u; d < 4u; d++) { norms[4u * quad + d] = select(1.0, rounded[d], rounded[d] > 0.0); }
  }
  workgroupBarrier();`
    : '';
  return `${divisors}
  for (var slot = lane; slot < ${pageSize}u; slot += ${lanes}u) {
    var low = 0.0;
    var high = 0.0;
    if (slot < count) {
      low = 3.0e38;
      high = -3.0e38;
      for (var quad = 0u; quad < ${quads}u; quad++) {
        let value = ${divided('source_page_quad(entry, slot, quad)', separable)};
        low = min(low, min(min(value.x, value.y), min(value.z, value.w)));
        high = max(high, max(max(value.x, value.y), max(value.z, value.w)));
      }
    }${keep('slot', 'low', 'high')}
  }
  workgroupBarrier();`;
}

/** The quad `quad` of a row, by channel norms where there are any. */
function divided(value: string, separable: boolean): string {
  return separable
    ? `${value} / vec4f(norms[4u * quad], norms[4u * quad + 1u], norms[4u * quad + 2u], norms[4u * quad + 3u])`
    : value;
}

/** Statements that pack a page's numbers: an invocation takes 16 of a row, which fill whole words of every plane. */
function codesText({ format, high, low }: QuantizedLayout, { pageSize, headSize }: PageSizes): string {
  const { bits, lowBits, per } = format;
  const most = 2 ** bits - 1;
  const channel = (name: string) => `vec4f(${[0, 1, 2, 3].map((d) => `${name}[4u * quad + ${d}u]`).join(', ')})`;
  const own = (name: string) => (per === 'channel' ? channel(name) : `vec4f(${name}[slot])`);
  // The bound is a parameter: unrolled, the loop compiles for seconds on software adapters.
  const pack = `
    var codes: array<vec4u, ${unit / 4}>;
    for (var index = 0u; index < params.unit_quads && slot < count; index++) {
      let quad = first_quad + index;
      let value = ${divided('source_page_quad(entry, slot, quad)', per === 'channelSeparable')};
      let step = ${own('steps')};
      let scaled = round((value - ${own('least')}) / select(vec4f(1.0), step, step > vec4f()));
      codes[index] = vec4u(clamp(scaled, vec4f(), vec4f(${most}.0)));
    }`;
  // Planes hold the bits of the code from the top: first those of the high part, then the low ones.
  let rest = bits;
  const widths = [...planeWidths(bits - lowBits), ...planeWidths(lowBits)];
  const stores = [...high, ...low].map(({ start }, plane) => {
    const width = widths[plane] as number;
    rest -= width;
    const field = (index: number) =>
      `dot((codes[${index}] >> vec4u(${rest}u)) & vec4u(${2 ** width - 1}u), vec4u(1u, ${2 ** width}u, ${4 ** width}u, ${8 ** width}u))`;
    const perWord = 8 / width;
    const words = unit / (4 * perWord);
    return Array.from({ length: words }, (_, word) => {
      const parts = Array.from({ length: perWord }, (_, at) => `(${field(word * perWord + at)} << ${at * 4 * width}u)`);
      return `
    pages[target_block + ${start}u + index * ${words}u + ${word}u] = ${parts.join(' | ')};`;
    }).join('');
  });
  const units = headSize / unit;
  return `
  for (var index = lane; index < ${pageSize * units}u; index += ${lanes}u) {
    let slot = index / ${units}u;
    let first_quad = index % ${units}u * ${unit / 4}u;${pack}${stores.join('')}
  }`;
}

/** A page that is rewritten: where it stands, with its format, and where it goes. */
export interface PageConversion {
  readonly source: { readonly offset: number; readonly format: number };
  readonly target: number;
  /** Rows that count. */
  readonly count: number;
}

/** Rewrites pages of all heads in the format `target`. Sources and targets do not overlap. */
export function convertPages(
  gpu: Gpu,
  words: Tensor,
  {
    pageSize,
    headSize,
    kvHeads,
    formats,
  }: PageSizes & { readonly kvHeads: number; readonly formats: readonly PageFormat[] },
  target: number,
  conversions: readonly PageConversion[],
): void {
  if (conversions.length === 0) return;
  gpu.tidy(() => {
    const list = conversions.flatMap(({ source, target: to, count }) => [source.offset + source.format, to, count]);
    const uploaded = gpu.tensor(list, [list.length], 'u32');
    for (const side of ['keys', 'values'] as const) {
      gpu.launch(
        convertKernel,
        { formats: JSON.stringify(formats), target, side, pageSize, headSize },
        {
          bindings: [uploaded, words],
          parameters: [kvHeads, unit / 4],
          workgroups: conversions.length * kvHeads,
          cost: { flops: 0, bytes: 8 * conversions.length * kvHeads * pageSize * headSize },
        },
      );
    }
  });
}
