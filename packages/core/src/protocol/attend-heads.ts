import { attention } from '../attention/attention.ts';
import type { TokenList } from '../attention/lists.ts';
import type { AttentionOptions, AttentionResult } from '../attention/types.ts';
import { ArgumentError } from '../errors.ts';
import { concatenate, contiguous } from '../ops/copy.ts';
import { Tensor } from '../tensor/tensor.ts';
import type { AttentionCall } from './contexts.ts';

/**
 * Attention with some key/value heads and the query heads that read them. The others load no key and give zeros and an
 * empty log-sum-exp.
 *
 * @throws ArgumentError unless `kvHeads` are ascending heads of the call.
 */
export function attendHeads(call: AttentionCall, kvHeads: readonly number[]): AttentionResult {
  const count = call.keys.shape[1] as number;
  const share = (call.q.shape[1] as number) / count;
  const valid = kvHeads.every((head, at) => Number.isInteger(head) && head > (kvHeads[at - 1] ?? -1) && head < count);
  if (!valid) throw new ArgumentError('selectHeads', kvHeads, `ascending key/value heads below ${count}`);
  const parts = headRuns(kvHeads, count).map(({ from, to, selected }) =>
    attention(
      call.q.slice(1, from * share, to * share),
      call.keys.slice(1, from, to),
      call.values.slice(1, from, to),
      selected ? headOptions(call.options, from, to, share) : emptyOptions(call.options),
    ),
  );
  if (parts.length === 1) return parts[0] as AttentionResult;
  const join = (pick: (part: AttentionResult) => Tensor | undefined) => {
    const tensors = parts.map(pick).filter((tensor) => tensor !== undefined);
    return tensors.length > 0 ? concatenate(tensors, 1) : undefined;
  };
  const [logSumExp, rowMaximum] = [join((part) => part.logSumExp), join((part) => part.rowMaximum)];
  return {
    output: join((part) => part.output) as Tensor,
    ...(logSumExp ? { logSumExp } : {}),
    ...(rowMaximum ? { rowMaximum } : {}),
  };
}

/** Neighbouring heads that are all selected, or all not. */
function headRuns(kvHeads: readonly number[], count: number): { from: number; to: number; selected: boolean }[] {
  const runs: { from: number; to: number; selected: boolean }[] = [];
  for (let head = 0; head < count; head++) {
    const selected = kvHeads.includes(head);
    const last = runs.at(-1);
    if (last?.selected === selected) last.to = head + 1;
    else runs.push({ from: head, to: head + 1, selected });
  }
  return runs;
}

function headOptions(options: AttentionOptions, from: number, to: number, share: number): AttentionOptions {
  const { tokens } = options;
  if (!tokens) return options;
  const [first, last] = tokens.per === 'kvHead' ? [from, to] : [from * share, to * share];
  const counts = tokens.counts;
  const list: TokenList = {
    ...tokens,
    indices: contiguous(tokens.indices.slice(1, first, last)),
    ...(counts === undefined
      ? {}
      : { counts: counts instanceof Tensor ? contiguous(counts.slice(1, first, last)) : counts }),
  };
  return { ...options, tokens: list };
}

function emptyOptions({ returnLogSumExp, returnRowMaximum }: AttentionOptions): AttentionOptions {
  return {
    keyLength: 0,
    ...(returnLogSumExp ? { returnLogSumExp } : {}),
    ...(returnRowMaximum ? { returnRowMaximum } : {}),
  };
}
