import type { Capabilities } from '../../device/capabilities.ts';
import { type BindingDeclaration, defineKernel, type KernelSource, type ParameterList } from '../../kernels/kernel.ts';
import { callParameters, listParameters, placeParameters } from '../call-parameters.ts';
import { numberParameters } from '../call-parts.ts';
import { inputAccess } from '../elements.ts';
import { entryFunctions } from '../positions.ts';
import { sideBindings, sideFunctions, sideParameters } from '../side-inputs.ts';
import type { GradientInputs } from './gradient-layout.ts';
import { ownKeys } from './own-keys.ts';
import { ownQueries } from './own-queries.ts';
import { subgroupLanes, subgroupLayout } from './subgroup-layout.ts';
import { subgroupRowsLayout } from './subgroup-rows-layout.ts';
import { tileLanes, tilesLayout } from './tiles-layout.ts';
import type { GradientVariant } from './variant.ts';

function inputsOf(variant: GradientVariant, capabilities: Capabilities): GradientInputs {
  const { queryDtype, queryVector, keyDtype, keyVector, gradientVector } = variant;
  return {
    query: inputAccess('query', queryDtype, queryVector, capabilities),
    key: inputAccess('keys', keyDtype, keyVector, capabilities),
    value: inputAccess('values', keyDtype, keyVector, capabilities),
    gradient: inputAccess('gradient', 'f32', gradientVector, capabilities),
  };
}

const layouts = { tiles: tilesLayout, subgroup: subgroupLayout, subgroupRows: subgroupRowsLayout } as const;

const parameters: ParameterList = [
  ...callParameters,
  ['head_size', 'u32'],
  ...placeParameters('query'),
  ...placeParameters('key'),
  ...placeParameters('value'),
  ...placeParameters('gradient'),
  ...listParameters,
  ['parts', 'u32'],
  ['row_tiles', 'u32'],
  ['row_count', 'u32'],
  ['second_start', 'u32'],
];

/**
 * The backward pass of FlashAttention-2 (arXiv 2307.08691, algorithm 2) without atomics: a workgroup owns rows and sums up their
 * gradients while the rows that meet them are streamed by, so that every sum has a fixed order. Once it owns queries (dQ),
 * once keys (dK and dV); both recompute the probabilities, which makes seven products of five.
 */
export const gradientKernel = defineKernel<GradientVariant>({
  name: 'attention.backward',
  bindings: (variant, capabilities) => {
    const inputs = inputsOf(variant, capabilities);
    const bindings: BindingDeclaration[] = [
      { name: 'query', type: inputs.query.type, access: 'read' },
      { name: 'keys', type: inputs.key.type, access: 'read' },
      { name: 'values', type: inputs.value.type, access: 'read' },
      { name: 'gradient', type: inputs.gradient.type, access: 'read' },
      { name: 'rows', type: 'array<f32>', access: 'read' },
      ...sideBindings(variant),
      { name: 'result', type: 'array<f32>', access: 'read_write' },
    ];
    if (variant.counting) bindings.push({ name: 'counter', type: 'array<atomic<u32>>', access: 'read_write' });
    return bindings;
  },
  parameters: (variant) => [...parameters, ...sideParameters(variant), ...numberParameters(variant.numbers)],
  workgroupSize: ({ layout }) => (layout === 'tiles' ? tileLanes : subgroupLanes),
  source: (variant, capabilities): KernelSource => {
    const walk = variant.own === 'queries' ? ownQueries(variant) : ownKeys(variant);
    const layout = layouts[variant.layout](variant, walk, inputsOf(variant, capabilities));
    const counter = variant.own === 'queries' ? 'counter[0]' : 'counter[1]';
    const main = `${layout.lanes}
  ${walk.place}
  ${layout.prepare}
  ${walk.open}
    ${variant.counting ? `if (lane == 0u) { atomicAdd(&${counter}, count); }` : ''}
    ${layout.tile}
  ${walk.close}
  ${layout.write}`;
    const functions = `${variant.functions}${entryFunctions(variant)}`;
    return {
      declarations: `${layout.declarations}${sideFunctions(variant, functions + main)}${functions}`,
      subgroups: variant.layout !== 'tiles',
      main,
    };
  },
});
