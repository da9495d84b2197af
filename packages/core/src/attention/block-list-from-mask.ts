import type { Gpu } from '../device/gpu.ts';
import { ArgumentError } from '../errors.ts';
import { defineKernel } from '../kernels/kernel.ts';
import { maskPositions } from '../ops/compact.ts';
import { Tensor } from '../tensor/tensor.ts';
import { CallParts, numberParameters } from './call-parts.ts';
import { checkInteger, checkLength } from './check-inputs.ts';
import type { BlockList } from './lists.ts';
import type { Mask } from './mask.ts';
import { maskSources } from './mask-sources.ts';
import { predicateText } from './mask-text.ts';
import { pairParameters } from './positions.ts';
import {
  bindSideInputs,
  type SideInputVariant,
  sideBindings,
  sideFunctions,
  sideLoad,
  sideParameters,
} from './side-inputs.ts';

export interface BlockListOptions {
  readonly batches: number;
  /** N and M of the calls that use the list; stored rows are in the order of positions. */
  readonly queries: number;
  readonly keys: number;
  readonly queryBlock: number;
  readonly keyBlock: number;
  /** Number of query heads H, for a custom mask that tells heads apart. Default: one list for all heads. */
  readonly heads?: number;
  /** Valid keys: a number for all, or u32 [B] on the device. Default: all M. */
  readonly keyLength?: number | Tensor;
  /** Position of the first query. Default: key length - N. */
  readonly queryOffset?: number;
}

interface BlockFlagsVariant extends SideInputVariant {
  readonly keyLengths: boolean;
  /** Predicate and bounds, as WGSL. */
  readonly sees: string;
  readonly begin: string;
  readonly end: string;
  readonly functions: string;
  readonly numbers: string;
  readonly [field: string]: string | number | boolean;
}

const lanes = 64;

/**
 * One workgroup per (batch entry, head, query block, key block): its invocations go over the pairs of the block until one is
 * seen. Blocks outside the predicate's bounds cost nothing.
 */
const blockFlags = defineKernel<BlockFlagsVariant>({
  name: 'attention.blockFlags',
  bindings: (variant) => [...sideBindings(variant), { name: 'flags', type: 'array<u32>', access: 'read_write' }],
  parameters: (variant) => [
    ['heads', 'u32'],
    ['queries', 'u32'],
    ['keys', 'u32'],
    ['query_block', 'u32'],
    ['key_block', 'u32'],
    ['query_blocks', 'u32'],
    ['key_blocks', 'u32'],
    ['query_offset', 'i32'],
    ['query_offset_given', 'u32'],
    ...sideParameters(variant),
    ...numberParameters(variant.numbers),
  ],
  workgroupSize: () => lanes,
  source: (variant) => {
    const { sees, begin, end } = variant;
    const functions = `${variant.functions}
var<workgroup> seen: atomic<u32>;
fn pair_sees(${pairParameters}) -> bool { return ${sees}; }`;
    const keyLength = variant.keyLengths
      ? `min(${sideLoad(variant, 'key_lengths', 'batch')}, params.keys)`
      : 'params.keys';
    const bounded = (bound: string, fallback: string) => (bound ? `clamp(${bound}, 0, i32(key_length))` : fallback);
    const main = `
  let key_tile = group % params.key_blocks;
  let query_tile = (group / params.key_blocks) % params.query_blocks;
  let head = (group / (params.key_blocks * params.query_blocks)) % params.heads;
  let batch = group / (params.key_blocks * params.query_blocks * params.heads);
  let key_length = ${keyLength};
  let first_position = select(i32(key_length) - i32(params.queries), params.query_offset, params.query_offset_given != 0u);
  let first_query = query_tile * params.query_block;
  let last_query = min(first_query + params.query_block, params.queries) - 1u;
  let first_query_position = first_position + i32(first_query);
  let last_query_position = first_position + i32(last_query);
  let first_key = max(key_tile * params.key_block, u32(${bounded(begin, '0')}));
  let keys_end = min((key_tile + 1u) * params.key_block, u32(${bounded(end, 'i32(key_length)')}));
  let width = max(keys_end, first_key) - first_key;
  let pairs = width * (last_query - first_query + 1u);
  for (var pair = lane; pair < pairs; pair += ${lanes}u) {
    let query = first_query + pair / width;
    let key = first_key + pair % width;
    if (pair_sees(batch, head, query, first_position + i32(query), i32(key))) {
      atomicStore(&seen, 1u);
      break;
    }
  }
  workgroupBarrier();
  if (lane == 0u) { flags[group] = atomicLoad(&seen); }`;
    return { declarations: `${sideFunctions(variant, functions + main)}${functions}`, main };
  },
});

/**
 * The blocks in which a mask lets at least one query see at least one key, found on the GPU: no N x M mask is stored, and
 * nothing is read back. Pass the list as `blocks` together with the same mask: blocks that hold no key for their queries
 * are then never loaded, whatever the mask's form.
 *
 * @param mask Predicates; lists are what this makes.
 * @returns Lists u32 [B, 1 | H, ceil(N / queryBlock), ceil(M / keyBlock)] with counts on the device, ascending.
 * @throws ArgumentError
 */
export function blockListFromMask(
  gpu: Gpu,
  mask: Mask,
  options: BlockListOptions,
): BlockList & { readonly counts: Tensor } {
  const { batches, queries, keys, queryBlock, keyBlock, heads = 1, keyLength = keys, queryOffset } = options;
  for (const [name, value] of Object.entries({ batches, queries, keys, queryBlock, keyBlock, heads })) {
    checkInteger(`blockListFromMask: ${name}`, value, 1, 2 ** 30);
  }
  if (queryOffset !== undefined) checkInteger('blockListFromMask: queryOffset', queryOffset, -(2 ** 30), 2 ** 30);
  checkLength('blockListFromMask: keyLength', keyLength, keys, batches);
  const { range, tokens, blocks } = maskSources(mask);
  if (tokens || blocks) throw new ArgumentError('blockListFromMask: mask', 'a list', 'predicates');
  return gpu.tidy(() => {
    const parts = new CallParts();
    if (keyLength instanceof Tensor) parts.sides.push({ name: 'key_lengths', type: 'u32', tensor: keyLength });
    const text = predicateText(range ?? { kind: 'anyOf', parts: [] }, { batches, queries }, parts);
    const side = bindSideInputs(gpu, parts.sides, gpu.capabilities.maxStorageBuffers - 1);
    const [queryBlocks, keyBlocks] = [Math.ceil(queries / queryBlock), Math.ceil(keys / keyBlock)];
    const flags = gpu.empty([batches, heads, queryBlocks, keyBlocks], 'u32');
    gpu.launch(
      blockFlags,
      {
        keyLengths: keyLength instanceof Tensor,
        sees: text.sees,
        begin: text.begin ?? '',
        end: text.end ?? '',
        functions: parts.functions,
        numbers: parts.numbers,
        inputs: side.inputs,
        packed: side.packed,
      },
      {
        bindings: [...side.bindings, flags],
        parameters: [
          heads,
          queries,
          keyLength instanceof Tensor ? keys : keyLength,
          queryBlock,
          keyBlock,
          queryBlocks,
          keyBlocks,
          queryOffset ?? 0,
          queryOffset === undefined ? 0 : 1,
          ...side.parameters,
          ...parts.values,
        ],
        workgroups: flags.size,
        cost: { flops: flags.size * queryBlock * keyBlock, bytes: 4 * flags.size },
      },
    );
    const { indices, counts } = maskPositions(flags);
    return { indices, counts, queryBlock, keyBlock, per: heads === 1 ? 'kvHead' : 'queryHead' };
  });
}
