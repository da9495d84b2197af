import { type BindingDeclaration, defineKernel, type KernelDefinition, type ParameterList } from '../kernels/kernel.ts';
import { callParameters, listParameters, placeParameters } from './call-parameters.ts';
import { numberParameters } from './call-parts.ts';
import { inputAccess } from './elements.ts';
import { stagedFeatures, subgroupFeatures } from './features-layout.ts';
import type { LayoutBuilder, TileLoopVariant } from './layout.ts';
import { epilogue, onlineSoftmax, softmaxState } from './online-softmax.ts';
import { entryFunctions, entryRange, lengths, rowInterval, storageBase } from './positions.ts';
import { stagedRows } from './rows-layout.ts';
import { sideBindings, sideFunctions, sideParameters } from './side-inputs.ts';
import { subgroupRows } from './subgroup-rows-layout.ts';

/** The layout that a variant names. */
function layoutOf(variant: TileLoopVariant): LayoutBuilder {
  if (variant.layout === 'rows') return variant.access === 'subgroup' ? subgroupRows : stagedRows;
  return variant.access === 'subgroup' ? subgroupFeatures : stagedFeatures;
}

/** Declares the entries [part_begin, part_end) of part `part`: a piece of all, or all where parts are key sets. */
function partRange(variant: TileLoopVariant, tile: number): string {
  if (variant.keySets !== 'none') {
    return `  let part_begin = begin;
  let part_end = select(begin, end, first_query < query_length);`;
  }
  return `  let chunk = (max(end, begin) - begin + params.parts - 1u) / params.parts;
  let part_size = (chunk + ${tile - 1}u) / ${tile}u * ${tile}u;
  let part_begin = begin + part * part_size;
  let part_end = select(begin, min(end, part_begin + part_size), first_query < query_length);`;
}

/** Scalars of every launch. */
const parameters: ParameterList = [
  ...callParameters,
  ['batches', 'u32'],
  ['head_size', 'u32'],
  ...placeParameters('query'),
  ...placeParameters('key'),
  ...placeParameters('value'),
  ['zero', 'f32'],
  ['tile_keys', 'u32'],
  ['shared_heads', 'u32'],
  ...listParameters,
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
    const states = rows.map(
      (row) => `${rowInterval(variant, row.query, row.suffix)}${softmaxState(variant, row, layout)}`,
    );
    const count = variant.counting
      ? `
    if (lane == 0u) { atomicAdd(&counter[0], min(${layout.tile}u, part_end - tile)); }`
      : '';
    const functions = `${variant.functions}${entryFunctions(variant)}`;
    const main = `${layout.place}
${lengths(variant)}
${storageBase(variant, 'key')}${storageBase(variant, 'value')}
${entryRange(variant)}
${partRange(variant, layout.tile)}
${states.join('')}
${layout.prepare}
  for (var tile = part_begin; tile < part_end; tile += ${layout.tile}u) {${count}
${layout.scores}
    ${onlineSoftmax(variant, layout)}
${layout.accumulate}
  }
${layout.reduceSum}
${epilogue(variant, layout)}`;
    return {
      declarations: `${layout.declarations}${sideFunctions(variant, functions + main)}${functions}`,
      subgroups: variant.access === 'subgroup',
      main,
    };
  },
});
