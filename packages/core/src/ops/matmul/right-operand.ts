import type { Capabilities } from '../../device/capabilities.ts';
import type { BindingDeclaration } from '../../kernels/kernel.ts';
import { elementAccess } from '../../kernels/wgsl.ts';
import { blockFactors, quantValue } from '../../kernels/wgsl-quantized.ts';
import { type PlainDtype, type QuantizedDtype, quantizedDtypes } from '../../tensor/dtype.ts';
import { quantWords } from '../../tensor/quantized.ts';

/**
 * How the right operand stands in memory: single elements, fours of f32 or pairs of half-precision elements along the
 * inner axis (one load gives all of them), or quantized blocks.
 */
export type RightFormat = 'f32' | 'f16' | 'bf16' | 'f32Fours' | 'f16Pairs' | 'bf16Pairs' | QuantizedDtype;

/**
 * WGSL that reads one column of the right operand (one row of a linear layer's weight) in *octets* of eight inner
 * positions. Octets form blocks; what a block shares (its scale) is loaded once by `openBlock`.
 */
export interface RightOperand {
  readonly bindings: readonly BindingDeclaration[];
  /** Octets of a block: 4 where 32 elements share a scale, else 1. */
  readonly octetsPerBlock: number;
  /** Declares the base index of column `column` under the name `<name>_base`. */
  readonly openColumn: (name: string, column: string) => string;
  /** Declares what block number `block` of the column shares. */
  readonly openBlock: (name: string, block: string) => string;
  /** Declares the words of octet `octet` of block `block`. */
  readonly openOctet: (name: string, block: string, octet: string) => string;
  /** Element 0..7 of the open octet, as an f32 expression. */
  readonly value: (name: string, element: number) => string;
  /** Inner position of element 0..7 of an octet, relative to the position `32 block + octetStep octet`. */
  readonly position: (element: number) => number;
  /** The same for an element that is a WGSL expression below 8. */
  readonly positionExpression: (element: string) => string;
  /** Distance of the first positions of neighbouring octets of a block. */
  readonly octetStep: number;
}

const elementNumbers = [0, 1, 2, 3, 4, 5, 6, 7];

/** The reader of a quantized format. What it declares is numbers in registers, so that their unpacking can be measured by itself. */
export interface QuantizedOperand extends RightOperand {
  /** Names (of type i32) that `openOctet` declares. */
  readonly octetRegisters: (name: string) => readonly string[];
  /** Name (of type vec2f) that `openBlock` declares. */
  readonly blockRegister: (name: string) => string;
}

/** The reader of a format. Positions past the inner size are clamped: the left operand is zero there. */
export function rightOperand(format: RightFormat, capabilities: Capabilities): RightOperand {
  switch (format) {
    case 'f32Fours':
      return foursOperand;
    case 'f16Pairs':
    case 'bf16Pairs':
      return pairedOperand(format);
    case 'f32':
    case 'f16':
    case 'bf16':
      return plainOperand(format, capabilities);
    default:
      return quantizedOperand(format);
  }
}

/** The format of a plain right operand with these strides, in elements: the widest loads that they allow. */
export function plainFormat(
  dtype: PlainDtype,
  innerStride: number,
  otherStrides: readonly number[],
  inner: number,
): RightFormat {
  const alignedTo = (size: number) =>
    innerStride === 1 && inner % size === 0 && otherStrides.every((stride) => stride % size === 0);
  if (dtype === 'f16' || dtype === 'bf16') return alignedTo(2) ? `${dtype}Pairs` : dtype;
  return alignedTo(4) ? 'f32Fours' : 'f32';
}

/** Whether a load gives one element only. */
export function loadsSingles(format: RightFormat): boolean {
  return format === 'f32' || format === 'f16' || format === 'bf16';
}

/** Whether the operand is quantized. */
export function isQuantizedFormat(format: RightFormat): format is QuantizedDtype {
  return (quantizedDtypes as readonly string[]).includes(format);
}

const plainOrder = {
  octetsPerBlock: 1,
  octetStep: 8,
  position: (element: number) => element,
  positionExpression: (element: string) => element,
} as const;

const openStridedColumn = (name: string, column: string) =>
  `let ${name}_base = right_start + ${column} * params.right_column;`;

function plainOperand(dtype: 'f32' | 'f16' | 'bf16', capabilities: Capabilities): RightOperand {
  const access = elementAccess('right', dtype, capabilities);
  return {
    ...plainOrder,
    bindings: [{ name: 'right', type: access.type, access: 'read' }],
    openColumn: openStridedColumn,
    openBlock: () => '',
    openOctet: (name, block) =>
      elementNumbers
        .map((element) => {
          const at = `min(${block} * 8u + ${element}u, params.inner - 1u) * params.right_inner`;
          return `let ${name}_${element} = ${access.load(`${name}_base + ${at}`)};`;
        })
        .join('\n'),
    value: (name, element) => `${name}_${element}`,
  };
}

/** One load gives four neighbours of the inner axis. */
const foursOperand: RightOperand = {
  ...plainOrder,
  bindings: [{ name: 'right', type: 'array<vec4f>', access: 'read' }],
  openColumn: (name, column) => `let ${name}_base = (right_start + ${column} * params.right_column) >> 2u;`,
  openBlock: () => '',
  openOctet: (name, block) =>
    [0, 1]
      .map((half) => {
        const at = `min(${block} * 2u + ${half}u, (params.inner >> 2u) - 1u)`;
        return `let ${name}_${half} = right[${name}_base + ${at}];`;
      })
      .join('\n'),
  value: (name, element) => `${name}_${element >> 2}[${element & 3}]`,
};

function pairedOperand(format: 'f16Pairs' | 'bf16Pairs'): RightOperand {
  const half = (word: string, high: boolean) => {
    if (format === 'f16Pairs') return `unpack2x16float(${word}).${high ? 'y' : 'x'}`;
    return `bitcast<f32>(${high ? `${word} & 0xffff0000u` : `${word} << 16u`})`;
  };
  return {
    ...plainOrder,
    bindings: [{ name: 'right', type: 'array<u32>', access: 'read' }],
    openColumn: (name, column) => `let ${name}_base = (right_start + ${column} * params.right_column) >> 1u;`,
    openBlock: () => '',
    openOctet: (name, block) =>
      [0, 1, 2, 3]
        .map((word) => {
          const at = `min(${block} * 4u + ${word}u, (params.inner >> 1u) - 1u)`;
          return `let ${name}_${word} = right[${name}_base + ${at}];`;
        })
        .join('\n'),
    value: (name, element) => half(`${name}_${element >> 1}`, element % 2 === 1),
  };
}

/** What the words of an octet hold of element 0..7 of it: all of an eight-bit quant, the low four bits of others. */
function lowQuant(dtype: QuantizedDtype, word: (index: number) => string, element: number): string {
  const column = element & 3;
  if (dtype === 'q8_0') return `extractBits(${word(element >> 2)}, ${8 * column}u, 8u)`;
  return `((${word(0)} >> ${8 * column + (element >= 4 ? 4 : 0)}u) & 15)`;
}

/** Reads a column of the right operand a block of 32 elements at a time. Positions are relative to the block. */
export interface WideOperand extends Pick<RightOperand, 'bindings' | 'openColumn' | 'openBlock'> {
  /** Element 0..7 of an octet of the open block, as an f32 expression. */
  readonly value: (name: string, octet: number, element: number) => string;
  readonly position: (element: number) => number;
  readonly octetStep: number;
  /** Fours of words of a block. */
  readonly loads: number;
}

/** The reader of quantized blocks that are whole fours of words, else undefined. */
export function wideOperand(format: RightFormat): WideOperand | undefined {
  if (!isQuantizedFormat(format) || quantWords[format] % 4 !== 0) return undefined;
  const narrow = quantizedOperand(format);
  const loads = quantWords[format] / 4;
  const { octetStep, position, openColumn } = narrow;
  return {
    octetStep,
    loads,
    position,
    openColumn,
    bindings: narrow.bindings.map((binding) =>
      binding.name === 'quants' ? { ...binding, type: 'array<vec4<u32>>' } : binding,
    ),
    openBlock: (name, block) =>
      [
        narrow.openBlock(name, block),
        ...Array.from(
          { length: loads },
          (_, load) =>
            `let ${name}_words${load} = bitcast<vec4<i32>>(quants[(${name}_base + ${block}) * ${loads}u + ${load}u]);`,
        ),
      ].join('\n'),
    value: (name, octet, element) => {
      const word = (index: number) => {
        const at = octet * loads + index;
        return `${name}_words${at >> 2}[${at & 3}]`;
      };
      return quantValue(format, lowQuant(format, word, element), narrow.blockRegister(name), element >= 4);
    },
  };
}

/**
 * Blocks of 32 elements (layout in `tensor/quantized.ts`). An octet of an eight-bit type is eight neighbours, of the others four neighbours of
 * the first half of the block and the four that stand 16 behind them.
 */
export function quantizedOperand(dtype: QuantizedDtype): QuantizedOperand {
  const eightBit = dtype === 'q8_0';
  const wordsPerOctet = eightBit ? 2 : 1;
  const wordsPerBlock = quantWords[dtype];
  const highWords = eightBit ? 0 : wordsPerBlock - 4;
  const openHighBits = (name: string, block: string, octet: string) =>
    Array.from({ length: highWords }, (_, word) => {
      const at = `(${name}_base + ${block}) * ${wordsPerBlock}u + ${4 + word}u`;
      return `let ${name}_high${word} = bitcast<i32>(quants[${at}] >> (${octet} * ${4 * highWords}u));`;
    });
  const quant = (name: string, element: number) => {
    const low = lowQuant(dtype, (word) => `${name}_${word}`, element);
    if (highWords === 0) return low;
    const upper = element >= 4;
    const column = element & 3;
    if (highWords === 1) return `(${low} | (((${name}_high0 >> ${column + (upper ? 16 : 0)}u) & 1) << 4u))`;
    return `(${low} | (((${name}_high${upper ? 1 : 0} >> ${2 * column}u) & 3) << 4u))`;
  };
  const octetRegisters = (name: string) => [
    ...Array.from({ length: wordsPerOctet }, (_, word) => `${name}_${word}`),
    ...Array.from({ length: highWords }, (_, word) => `${name}_high${word}`),
  ];
  const blockRegister = (name: string) => `${name}_factors`;
  return {
    octetRegisters,
    blockRegister,
    octetsPerBlock: 4,
    octetStep: eightBit ? 8 : 4,
    position: (element) => (eightBit || element < 4 ? element : element + 12),
    positionExpression: (element) => (eightBit ? element : `(${element} + select(0u, 12u, ${element} >= 4u))`),
    bindings: [
      { name: 'quants', type: 'array<u32>', access: 'read' },
      { name: 'scales', type: 'array<u32>', access: 'read' },
    ],
    openColumn: (name, column) => `let ${name}_base = ${column} * (params.inner >> 5u);`,
    openBlock: (name, block) =>
      `let ${blockRegister(name)} = ${blockFactors(dtype, 'scales', `${name}_base + ${block}`)};`,
    openOctet: (name, block, octet) =>
      [
        ...Array.from({ length: wordsPerOctet }, (_, word) => {
          const at = `(${name}_base + ${block}) * ${wordsPerBlock}u + ${octet} * ${wordsPerOctet}u + ${word}u`;
          return `let ${name}_${word} = bitcast<i32>(quants[${at}]);`;
        }),
        ...openHighBits(name, block, octet),
      ].join('\n'),
    value: (name, element) => quantValue(dtype, quant(name, element), blockRegister(name), element >= 4),
  };
}
