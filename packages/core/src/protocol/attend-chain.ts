import { attention } from '../attention/attention.ts';
import { attentionStatistics } from '../attention/statistics/attention-statistics.ts';
import type { AttentionStatistics, StatisticsRequest } from '../attention/statistics/types.ts';
import type { AttentionResult } from '../attention/types.ts';
import { assertPlainScores, change } from './attention-change.ts';
import type { AttendedResult, AttentionCall, AttentionChange, AttentionNeeds, LayerContext } from './contexts.ts';
import { headOptions } from './head-options.ts';
import type { Owner, Seams } from './owners.ts';

/** Statistics by the method that asked for them. */
export type GatheredStatistics = ReadonlyMap<Owner, AttentionStatistics<StatisticsRequest>>;

export interface ChainResult {
  readonly result: AttentionResult;
  readonly gathered: GatheredStatistics;
}

/** One engine call at the end of the chain; may change the output. */
export type EngineWatcher = (call: AttentionCall, result: AttentionResult) => AttentionResult;

/** Attention of a layer and sequence inside the methods that narrow or wrap it. */
export function attendThroughMethods(
  { mask, needs, attend, selectHeads }: Seams,
  contextOf: (owner: Owner) => LayerContext,
  given: AttentionCall,
  watch?: EngineWatcher,
): ChainResult {
  const gathered = new Map<Owner, AttentionStatistics<StatisticsRequest>>();
  const requests = needs.flatMap((owner) => {
    const request = owner.method.needs?.(contextOf(owner));
    return request ? [{ owner, request }] : [];
  });
  const heads = selectHeads?.method.selectHeads?.(contextOf(selectHeads));
  const masked = mask?.method.mask?.(contextOf(mask), given);
  const call = mask && masked ? { ...given, options: change(given.options, masked, mask.method.name) } : given;

  const engine = (current: AttentionCall): AttentionResult => {
    const options = heads ? headOptions(current, heads) : current.options;
    const asked = { ...options, ...firstPassNeeds(requests, watch !== undefined) };
    const result = attention(current.q, current.keys, current.values, asked);
    for (const { owner, request } of requests) {
      const { logSumExp: _, rowMaximum: __, ...want } = request;
      if (Object.keys(want).length === 0 || !result.logSumExp) continue;
      assertPlainScores(options, owner.method.name);
      const where = { ...options, logSumExp: result.logSumExp, want };
      gathered.set(owner, attentionStatistics(current.q, current.keys, where));
    }
    return watch ? watch({ ...current, options }, result) : result;
  };
  const from = (at: number, current: AttentionCall): AttentionResult => {
    const owner = attend[at];
    if (!owner) return engine(current);
    const next = (wanted?: AttentionChange): AttendedResult => {
      const options = wanted && change(current.options, wanted, owner.method.name);
      return withStatistics(from(at + 1, options ? { ...current, options } : current), gathered.get(owner));
    };
    return owner.method.attend?.(contextOf(owner), current, next) as AttentionResult;
  };
  return { result: from(0, call), gathered };
}

/** A result with the statistics that one method asked for. */
export function withStatistics<Result extends AttentionResult>(
  result: Result,
  statistics: AttentionStatistics<StatisticsRequest> | undefined,
): Result & AttendedResult {
  return statistics ? { ...result, statistics } : result;
}

/** What the first pass must give: a second pass needs its log-sum-exp. */
function firstPassNeeds(
  requests: readonly { readonly request: AttentionNeeds }[],
  watched: boolean,
): Pick<AttentionCall['options'], 'returnLogSumExp' | 'returnRowMaximum'> {
  const logSumExp =
    watched || requests.some(({ request: { rowMaximum, ...others } }) => Object.keys(others).length > 0);
  const rowMaximum = requests.some(({ request }) => request.rowMaximum);
  return { ...(logSumExp ? { returnLogSumExp: true } : {}), ...(rowMaximum ? { returnRowMaximum: true } : {}) };
}
