import { type BindingDeclaration, defineKernel, type KernelDefinition, type ParameterList } from '../kernels/kernel.ts';
import { LOWEST } from '../kernels/wgsl.ts';
import { numberParameters } from './call-parts.ts';
import { inputAccess } from './elements.ts';
import { stagedFeatures, subgroupFeatures } from './features-layout.ts';
import type { LayoutBuilder, RowState, TileLoopVariant } from './layout.ts';
import { entryFunctions, entryRange, lengths, rowInterval, storageBase, visible } from './positions.ts';
import { stagedRows } from './rows-layout.ts';
import { sideBindings, sideFunctions, sideParameters } from './side-inputs.ts';

/** The layout that a variant names. */
function layoutOf(variant: TileLoopVariant): LayoutBuilder {
  if (variant.layout === 'rows') return stagedRows;
  return variant.access === 'subgroup' ? subgroupFeatures : stagedFeatures;
}

/** Turns a raw dot product into a score. Score modifiers (bias, soft-cap, ALiBi) extend this expression. */
function modifiedScore(raw: string): string {
  return `${raw} * params.scale`;
}

/**
 * The online softmax over one tile (FlashAttention-2, arXiv 2307.08691, algorithm 1). Maxima start at half the mask
 * sentinel: a masked score minus such a maximum is so low that its weight is exactly zero, without a branch.
 */
function onlineSoftmax(variant: TileLoopVariant, rows: readonly RowState[], reduceMaximum: string): string {
  const masked = rows.map(({ suffix, slots, query, head }) =>
    slots
      .map((slot) => {
        const seen = visible(variant, slot, { query, head, suffix });
        return `${slot.score} = select(${LOWEST}, ${modifiedScore(slot.score)}, ${seen});`;
      })
      .join('\n    '),
  );
  const tileMaxima = rows.map(({ suffix, slots }) => {
    const most = slots.reduce((expression, { score }) => (expression ? `max(${expression}, ${score})` : score), '');
    return `var tile_maximum${suffix} = ${most};`;
  });
  const weights = rows.map(({ suffix, slots }) =>
    [
      `let new_maximum${suffix} = max(maximum${suffix}, tile_maximum${suffix});`,
      `let correction${suffix} = exp(maximum${suffix} - new_maximum${suffix});`,
      `maximum${suffix} = new_maximum${suffix};`,
      ...slots.map(({ score }) => `${score} = exp(${score} - new_maximum${suffix});`),
      `sum${suffix} = sum${suffix} * correction${suffix} + (${slots.map(({ score }) => score).join(' + ')});`,
    ].join('\n    '),
  );
  return [...masked, ...tileMaxima, reduceMaximum, ...weights].join('\n    ');
}

/** Normalised output, log-sum-exp and maximum of each row, at its place in part `part` of the result. */
function epilogue(
  variant: TileLoopVariant,
  rows: readonly RowState[],
  write: string,
  writesStatistics: string,
): string {
  const places = rows.map(
    ({ suffix, query, head }) => `
  let row_index${suffix} = ((part * params.batches + batch) * params.queries + ${query}) * params.heads + ${head};
  let output_row${suffix} = row_index${suffix} * ${variant.headSize}u;
  let inverse${suffix} = select(0.0, 1.0 / sum${suffix}, sum${suffix} > 0.0);`,
  );
  const statistics = rows.map(
    ({ suffix, query, head, exists }) => `
  if (${writesStatistics} && ${exists}) {
    let at = ((part * params.batches + batch) * params.heads + ${head}) * params.queries + ${query};
    let seen = sum${suffix} > 0.0;
    output[params.log_sum_exp_start + at] = select(${LOWEST}, maximum${suffix} + log(max(sum${suffix}, 1e-37)), seen);
    output[params.row_maximum_start + at] = select(${LOWEST}, maximum${suffix}, seen);
  }`,
  );
  return [...places, write, ...(variant.statistics ? statistics : [])].join('');
}

/** Scalars of every launch. */
const parameters: ParameterList = [
  ['batches', 'u32'],
  ['heads', 'u32'],
  ['heads_per_kv', 'u32'],
  ['queries', 'u32'],
  ['query_bound', 'u32'],
  ['keys', 'u32'],
  ['head_size', 'u32'],
  ['quads', 'u32'],
  ['scale', 'f32'],
  ['window', 'i32'],
  ['query_offset', 'i32'],
  ['query_offset_given', 'u32'],
  ['query_start', 'u32'],
  ['query_batch', 'u32'],
  ['query_head', 'u32'],
  ['query_row', 'u32'],
  ['key_start', 'u32'],
  ['key_batch', 'u32'],
  ['key_head', 'u32'],
  ['key_row', 'u32'],
  ['key_capacity', 'u32'],
  ['value_start', 'u32'],
  ['value_batch', 'u32'],
  ['value_head', 'u32'],
  ['value_row', 'u32'],
  ['zero', 'f32'],
  ['tile_keys', 'u32'],
  ['shared_heads', 'u32'],
  ['list_length', 'u32'],
  ['list_count', 'u32'],
  ['list_heads', 'u32'],
  ['list_share', 'u32'],
  ['parts', 'u32'],
  ['log_sum_exp_start', 'u32'],
  ['row_maximum_start', 'u32'],
];

/** Every case of attention: one loop over tiles of keys, composed of a key source, predicates, a layout and an epilogue. */
export const tileLoop: KernelDefinition<TileLoopVariant> = defineKernel<TileLoopVariant>({
  name: 'attention',
  bindings: (variant, capabilities) => {
    const keyType = inputAccess('keys', variant.keyDtype, variant.vector, capabilities).type;
    const bindings: BindingDeclaration[] = [
      { name: 'query', type: inputAccess('query', variant.queryDtype, false, capabilities).type, access: 'read' },
      { name: 'keys', type: keyType, access: 'read' },
      { name: 'values', type: keyType, access: 'read' },
      ...sideBindings(variant),
      { name: 'output', type: 'array<f32>', access: 'read_write' },
    ];
    if (variant.counting) bindings.push({ name: 'counter', type: 'array<atomic<u32>>', access: 'read_write' });
    return bindings;
  },
  parameters: (variant) =>
    variant.packed === '' && variant.numbers === ''
      ? parameters
      : [...parameters, ...sideParameters(variant), ...numberParameters(variant.numbers)],
  workgroupSize: (variant, capabilities) => layoutOf(variant)(variant, capabilities).workgroupSize,
  source: (variant, capabilities) => {
    const layout = layoutOf(variant)(variant, capabilities);
    const { rows } = layout;
    const text = `${variant.functions}${entryFunctions(variant)}`;
    const states = rows.map(
      ({ suffix, query }) => `${rowInterval(variant, query, suffix)}
  var maximum${suffix} = 0.5 * ${LOWEST};
  var sum${suffix} = 0.0;`,
    );
    const count = variant.counting
      ? `
    if (lane == 0u) { atomicAdd(&counter[0], min(${layout.tile}u, part_end - tile)); }`
      : '';
    return {
      declarations: `${layout.declarations}${sideFunctions(variant, text)}${text}`,
      subgroups: variant.access === 'subgroup',
      main: `${layout.place}
${lengths(variant)}
${storageBase(variant, 'key')}${storageBase(variant, 'value')}
${entryRange(variant)}
  let chunk = (max(end, begin) - begin + params.parts - 1u) / params.parts;
  let part_size = (chunk + ${layout.tile - 1}u) / ${layout.tile}u * ${layout.tile}u;
  let part_begin = begin + part * part_size;
  let part_end = select(begin, min(end, part_begin + part_size), first_query < query_length);
${states.join('')}
${layout.prepare}
  for (var tile = part_begin; tile < part_end; tile += ${layout.tile}u) {${count}
${layout.scores}
    ${onlineSoftmax(variant, rows, layout.reduceMaximum)}
${layout.accumulate}
  }
${layout.reduceSum}
${epilogue(variant, rows, layout.write, layout.writesStatistics)}`,
    };
  },
});
