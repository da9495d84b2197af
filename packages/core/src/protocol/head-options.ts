import type { AttentionOptions } from '../attention/types.ts';
import type { Gpu } from '../device/gpu.ts';
import { ArgumentError, ShapeError } from '../errors.ts';
import { multiply } from '../ops/elementwise.ts';
import { Tensor } from '../tensor/tensor.ts';
import type { AttentionCall, HeadSelection } from './contexts.ts';

/**
 * The options under which only some key/value heads have keys. The others load none, and their query heads give zeros and an
 * empty log-sum-exp.
 *
 * @throws ArgumentError unless `selection` names ascending heads of the call; ShapeError for flags of another shape
 */
export function headOptions(call: AttentionCall, selection: HeadSelection): AttentionOptions {
  const { q, keys, options } = call;
  const { gpu } = q;
  const batch = q.shape[0] as number;
  const lengths = options.keyLength ?? (keys.shape[2] as number);
  const heads = headCount(call);
  const keyBound = options.keyBound ?? (typeof lengths === 'number' ? lengths : undefined);
  const keyLength =
    typeof lengths === 'number' && !(selection instanceof Tensor)
      ? gpu.tensor(repeat(hostFlags(selection, heads), batch, lengths), [batch, heads], 'u32')
      : multiply(deviceLengths(lengths, batch, heads, gpu), deviceFlags(selection, heads, gpu));
  return { ...options, keyLength, ...(keyBound === undefined ? {} : { keyBound }) };
}

function headCount({ keys, options }: AttentionCall): number {
  return options.keyStarts ? (options.keyStarts.shape[1] as number) : (keys.shape[1] as number);
}

function hostFlags(selection: readonly number[], heads: number): number[] {
  const valid = selection.every(
    (head, at) => Number.isInteger(head) && head > (selection[at - 1] ?? -1) && head < heads,
  );
  if (!valid) throw new ArgumentError('selectHeads', selection, `ascending key/value heads below ${heads}`);
  return Array.from({ length: heads }, (_, head) => (selection.includes(head) ? 1 : 0));
}

function repeat(flags: readonly number[], batch: number, factor: number): number[] {
  return Array.from({ length: batch }, () => flags.map((flag) => flag * factor)).flat();
}

/** u32 [Hkv] */
function deviceFlags(selection: HeadSelection, heads: number, gpu: Gpu): Tensor {
  if (!(selection instanceof Tensor)) return gpu.tensor(hostFlags(selection, heads), [heads], 'u32');
  if (selection.dtype !== 'u32' || selection.rank !== 1 || selection.shape[0] !== heads) {
    throw new ShapeError('selectHeads', `flags are ${selection.dtype}[${selection.shape}]; it takes u32[${heads}].`);
  }
  return selection;
}

/** u32, broadcast to [B, Hkv] */
function deviceLengths(lengths: number | Tensor, batch: number, heads: number, gpu: Gpu): Tensor {
  if (typeof lengths === 'number') return gpu.tensor(new Array(batch * heads).fill(lengths), [batch, heads], 'u32');
  return lengths.rank === 1 ? lengths.reshape([batch, 1]).broadcastTo([batch, heads]) : lengths;
}
