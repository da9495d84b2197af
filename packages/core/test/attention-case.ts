import { expect } from 'vitest';
import {
  type AttentionOptions,
  attention,
  type BlockList,
  cast,
  type Gpu,
  type Mask,
  readLogSumExp,
  type ScoreModifier,
  type Tensor,
  type TokenList,
} from '../src/index.ts';
import { lowestScore } from '../src/kernels/wgsl.ts';
import {
  type AttentionReferenceInput,
  assertClose,
  attentionReference,
  type HostMask,
  randomArray,
} from '../src/testing/index.ts';

/** One attention call, described once for the GPU and for the f64 reference. Queries, keys and values are random. */
export interface AttentionCase
  extends Pick<AttentionReferenceInput, 'batches' | 'heads' | 'kvHeads' | 'queries' | 'keys' | 'headSize'>,
    Pick<
      AttentionReferenceInput,
      'causal' | 'slidingWindow' | 'scale' | 'mask' | 'scoreModifiers' | 'keyMultipliers' | 'normalizer'
    > {
  readonly queryOffset?: number;
  /** [B]; handed over on the device. */
  readonly keyLengths?: readonly number[];
  readonly queryLengths?: readonly number[];
  readonly plan?: AttentionOptions['plan'];
  readonly dtype?: 'f32' | 'f16';
}

type Sizes = Pick<AttentionCase, 'batches' | 'heads' | 'kvHeads' | 'queries'>;

function deviceList<List extends TokenList<ArrayLike<number>> | BlockList<ArrayLike<number>>>(
  gpu: Gpu,
  list: List,
  { batches, heads, kvHeads, queries }: Sizes,
) {
  const { indices, counts, per, queryBlock } = list;
  const blocks = queryBlock === undefined ? [] : [Math.ceil(queries / queryBlock)];
  const rows = [batches, per === 'kvHead' ? kvHeads : heads, ...blocks];
  const length = indices.length / rows.reduce((product, size) => product * size, 1);
  return {
    ...list,
    indices: gpu.tensor(indices, [...rows, length], 'u32'),
    ...(typeof counts === 'object' ? { counts: gpu.tensor(counts, rows, 'u32') } : {}),
  };
}

/** The mask with its arrays on the device. Lists that are one object on the host are one object here too. */
export function deviceMask(gpu: Gpu, mask: HostMask, sizes: Sizes, lists = new Map<object, object>()): Mask {
  const again = (part: HostMask) => deviceMask(gpu, part, sizes, lists);
  const once = <List>(list: TokenList<ArrayLike<number>> | BlockList<ArrayLike<number>>): List => {
    const made = lists.get(list) ?? deviceList(gpu, list, sizes);
    lists.set(list, made);
    return made as List;
  };
  const { batches, queries } = sizes;
  switch (mask.kind) {
    case 'prefix':
      return {
        ...mask,
        length: typeof mask.length === 'number' ? mask.length : gpu.tensor(mask.length, [batches], 'u32'),
      };
    case 'tokenRelation':
      return {
        ...mask,
        queries: gpu.tensor(mask.queries, [batches, queries], 'u32'),
        keys: gpu.tensor(mask.keys, [batches, mask.keys.length / batches], 'u32'),
      };
    case 'tokens':
      return { kind: 'tokens', list: once<TokenList>(mask.list) };
    case 'blocks':
      return { kind: 'blocks', list: once<BlockList>(mask.list) };
    case 'anyOf':
    case 'allOf':
      return { kind: mask.kind, parts: mask.parts.map(again) };
    case 'not':
      return { kind: 'not', part: again(mask.part) };
    case 'custom':
      return {
        ...mask,
        inputs: Object.fromEntries(
          Object.entries(mask.inputs ?? {}).map(([name, values]) => [name, gpu.tensor(values)]),
        ),
      };
    default:
      return mask;
  }
}

/** The modifier with its arrays on the device. */
export function deviceModifier(
  gpu: Gpu,
  modifier: ScoreModifier<ArrayLike<number>>,
  { batches, heads, queries }: Sizes,
): ScoreModifier {
  switch (modifier.kind) {
    case 'bias':
      return {
        ...modifier,
        bias: gpu.tensor(modifier.bias, [batches, heads, queries, modifier.bias.length / (batches * heads * queries)]),
      };
    case 'alibi':
      return { ...modifier, slopes: gpu.tensor(modifier.slopes) };
    case 'relativePosition':
      return { ...modifier, table: gpu.tensor(modifier.table, [heads, modifier.table.length / heads]) };
    case 'sinks':
      return { ...modifier, logits: gpu.tensor(modifier.logits) };
    case 'custom':
      return {
        ...modifier,
        inputs: Object.fromEntries(
          Object.entries(modifier.inputs ?? {}).map(([name, values]) => [name, gpu.tensor(values)]),
        ),
      };
    default:
      return modifier;
  }
}

/** A case's arrays and options as the f64 reference takes them. */
export function referenceInput(run: AttentionCase): AttentionReferenceInput {
  const { batches, heads, kvHeads, queries, keys, headSize } = run;
  return {
    ...{ batches, heads, kvHeads, queries, keys, headSize },
    q: randomArray(batches * heads * queries * headSize, 1, { scale: 2 }),
    k: randomArray(batches * kvHeads * keys * headSize, 2, { scale: 2 }),
    v: randomArray(batches * kvHeads * keys * headSize, 3),
    ...hostOptions(run),
    ...(run.mask ? { mask: run.mask } : {}),
    ...(run.scoreModifiers ? { scoreModifiers: run.scoreModifiers } : {}),
    ...(run.keyMultipliers ? { keyMultipliers: run.keyMultipliers } : {}),
    ...(run.normalizer ? { normalizer: run.normalizer } : {}),
    ...(run.keyLengths ? { keyLength: run.keyLengths } : {}),
    ...(run.queryLengths ? { queryLength: run.queryLengths } : {}),
  };
}

/** Options that are the same on the host and on the device. */
function hostOptions({ causal, slidingWindow, queryOffset, scale }: AttentionCase) {
  return {
    ...(causal === undefined ? {} : { causal }),
    ...(slidingWindow === undefined ? {} : { slidingWindow }),
    ...(queryOffset === undefined ? {} : { queryOffset }),
    ...(scale === undefined ? {} : { scale }),
  };
}

/** A case's tensors and options on the device. Call inside `gpu.tidy`. */
export function deviceCall(gpu: Gpu, run: AttentionCase, { q, k, v }: Pick<AttentionReferenceInput, 'q' | 'k' | 'v'>) {
  const { batches, heads, kvHeads, queries, keys, headSize, keyLengths, queryLengths } = run;
  const upload = (data: ArrayLike<number>) => {
    const tensor = gpu.tensor(data, [batches, kvHeads, keys, headSize]);
    return run.dtype === 'f16' ? cast(tensor, 'f16') : tensor;
  };
  const options = {
    ...hostOptions(run),
    ...(run.mask ? { mask: deviceMask(gpu, run.mask, run) } : {}),
    ...(run.scoreModifiers ? { scoreModifiers: run.scoreModifiers.map((each) => deviceModifier(gpu, each, run)) } : {}),
    ...(run.keyMultipliers
      ? {
          keyMultipliers: {
            ...run.keyMultipliers,
            factors: gpu.tensor(run.keyMultipliers.factors, [batches, heads, keys]),
          },
        }
      : {}),
    ...(keyLengths ? { keyLength: gpu.tensor(keyLengths, [batches], 'u32') } : {}),
    ...(queryLengths ? { queryLength: gpu.tensor(queryLengths, [batches], 'u32') } : {}),
  };
  return { q: gpu.tensor(q, [batches, heads, queries, headSize]), k: upload(k), v: upload(v), options };
}

/** Runs a case on the GPU and compares output and log-sum-exp with the reference; nothing is read back in between. */
export async function checkCase(gpu: Gpu, run: AttentionCase): Promise<void> {
  const { batches, heads, queries } = run;
  const input = referenceInput(run);
  const expected = attentionReference(input);
  const { readbacks } = gpu.stats();
  const [output, logSumExp] = gpu.tidy(() => {
    const { q, k, v, options } = deviceCall(gpu, run, input);
    const result = attention(q, k, v, {
      ...options,
      ...(run.normalizer
        ? {
            normalizer: gpu.tensor(
              Array.from(run.normalizer, (value) => Math.max(value, lowestScore)),
              [batches, heads, queries],
            ),
          }
        : {}),
      ...(run.plan ? { plan: run.plan } : {}),
      returnLogSumExp: true,
    });
    return [result.output, result.logSumExp as Tensor] as const;
  });
  expect(gpu.stats().readbacks).toBe(readbacks);
  const half = run.dtype === 'f16' ? 4e-3 : 0;
  // Under a normaliser of its own a row may hold hundreds; an element that cancels out is as exact as they are.
  const largest = run.normalizer ? expected.output.reduce((most, value) => Math.max(most, Math.abs(value)), 0) : 0;
  const absolute = 1e-5 + half + 1e-6 * largest;
  assertClose(await output.read(), expected.output, { absolute, relative: 1e-4, name: 'output' });
  assertClose(await readLogSumExp(logSumExp), expected.logSumExp, {
    absolute: 2e-5 + 4 * half,
    relative: 1e-5,
    name: 'log-sum-exp',
  });
  output.dispose();
  logSumExp.dispose();
}
