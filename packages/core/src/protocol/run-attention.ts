import { attention } from '../attention/attention.ts';
import type { AttentionOptions, AttentionResult } from '../attention/types.ts';
import type { LayerCache } from '../cache/types.ts';
import { concatenate, contiguous } from '../ops/copy.ts';
import { Tensor } from '../tensor/tensor.ts';
import type { Activations } from './activations.ts';
import { attendThroughMethods, type GatheredStatistics, withStatistics } from './attend-chain.ts';
import { showPattern } from './attention-pattern.ts';
import type { AttentionCall, AttentionOutcome, Qkv } from './contexts.ts';
import { noSeams } from './owners.ts';
import type { SequenceRows } from './pass.ts';
import { checkWholeCache } from './requirements.ts';
import type { RunState } from './run-state.ts';

/** Attention of one sequence, and what methods asked of it. */
export interface Attended {
  readonly outcome: AttentionOutcome;
  readonly gathered: GatheredStatistics;
}

const none: GatheredStatistics = new Map();

/** Queries, keys and values of all rows as the methods that transform them leave them. */
export function transformQkv(
  run: RunState,
  seam: 'beforeRope' | 'afterRope',
  layer: number,
  qkv: Qkv,
  input: Tensor,
): Qkv {
  if (run.seams[seam].length === 0) return qkv;
  const parts = run.running.sequences.map((rows, sequence) => {
    const own = run.rowsOf(input, sequence);
    let current = qkvOf(run, qkv, sequence);
    if (!rows.withMethods) return current;
    for (const owner of run.seams[seam]) {
      const change = owner.method.transformQKV?.[seam];
      current = { ...current, ...change?.(run.context(owner, layer, sequence), current, own) };
    }
    return current;
  });
  if (parts.length === 1) return parts[0] as Qkv;
  const join = (name: keyof Qkv) => concatenate(parts.map((part) => part[name]));
  return { q: join('q'), k: join('k'), v: join('v') };
}

/** Attention of all sequences of a pass, companions last: [N, H D]. */
export function runAttention(run: RunState, layer: number, qkv: Qkv, options: AttentionOptions): Tensor {
  const { sequences } = run.running;
  if (sequences.length === 1)
    return rowsFirst(outputHeads(run, layer, attendSequence(run, layer, 0, qkv, options), []).output);
  const attended = sequences.map((_, sequence) =>
    attendSequence(run, layer, sequence, qkvOf(run, qkv, sequence), options),
  );
  const [main, ...companions] = attended as [Attended, ...Attended[]];
  const outputs = outputHeads(run, layer, main, companions);
  return concatenate([outputs.output, ...outputs.companions].map(rowsFirst));
}

/** One attention call inside the methods that act on its sequence. */
export function attendCall(
  run: RunState,
  layer: number,
  sequence: number,
  call: AttentionCall,
  cache: LayerCache | undefined,
): Attended {
  const rows = run.rows(sequence);
  const seams = rows.withMethods ? run.seams : noSeams;
  if (cache && cache.kind !== 'window' && !cache.rowsArePositions && rows.withMethods) {
    const methods = run.owners.map(({ method }) => method);
    checkWholeCache(methods, layer);
  }
  const watched = run.showsPattern(layer, sequence);
  if (!seams.attends && !watched) {
    return {
      outcome: { ...call, ...attention(call.q, call.keys, call.values, call.options), cache },
      gathered: none,
    };
  }
  const { result, gathered } = attendThroughMethods(
    seams,
    (owner) => run.context(owner, layer, sequence, call),
    call,
    watched ? (...engine) => watchPattern(run, layer, rows, ...engine) : undefined,
  );
  return { outcome: { ...call, ...result, cache }, gathered };
}

/** What a layer's attention gives, of each sequence [B, H, N, D]. */
export interface Outputs {
  readonly output: Tensor;
  readonly companions: readonly Tensor[];
}

/** What `afterAttention` leaves of the sequences' outputs. */
export function afterAttention(run: RunState, layer: number, main: Attended, companions: readonly Attended[]): Outputs {
  let [output, ...others] = [main, ...companions].map((attended) => attended.outcome.output) as [Tensor, ...Tensor[]];
  for (const owner of run.seams.afterAttention) {
    const context = run.context(owner, layer, 0, main.outcome);
    const outcome = withStatistics({ ...main.outcome, output }, main.gathered.get(owner));
    const current = companions.map((attended, index) => ({ ...attended.outcome, output: others[index] as Tensor }));
    const given = owner.method.afterAttention?.(context, outcome, current);
    if (!given) continue;
    if (given instanceof Tensor) {
      output = given;
      continue;
    }
    output = given.output ?? output;
    others = others.map((own, index) => given.companions?.[index] ?? own);
  }
  return { output, companions: others };
}

/** Attention of the rows of one sequence; its new keys and values are cached first. */
function attendSequence(run: RunState, layer: number, sequence: number, qkv: Qkv, options: AttentionOptions): Attended {
  const { cache, count, batch, positions, selected } = run.rows(sequence);
  const named = sequence === 0 ? nameQkv(run, layer, qkv) : qkv;
  const [q, k, v] = [headsFirst(named.q, batch), headsFirst(named.k, batch), headsFirst(named.v, batch)];
  const layerCache = cache?.layer(layer);
  const view = layerCache?.append(k, v, selected ? positions : undefined) ?? {
    keys: k,
    values: v,
    options: { keyLength: count / batch },
  };
  const call = { q, keys: view.keys, values: view.values, options: { ...options, ...view.options } };
  return attendCall(run, layer, sequence, call, layerCache);
}

/** What `afterAttention` and editors leave of the sequences' outputs. */
function outputHeads(run: RunState, layer: number, main: Attended, companions: readonly Attended[]): Outputs {
  const outputs = afterAttention(run, layer, main, companions);
  if (!run.watches(layer, 'attention.z')) return outputs;
  const [batch, heads, count, size] = outputs.output.shape as [number, number, number, number];
  const z = run.activation(layer, 'attention.z', rowsFirst(outputs.output).reshape([batch * count, heads, size]));
  return { ...outputs, output: headsFirst(z, batch) };
}

function watchPattern(
  run: RunState,
  layer: number,
  rows: SequenceRows,
  call: AttentionCall,
  result: AttentionResult,
): AttentionResult {
  const activations = run.activations as Activations;
  const held = activations.rowsWatched(layer, 'attention.pattern', rows);
  const output = showPattern(call, result, held, (pattern) =>
    activations.apply(layer, 'attention.pattern', pattern, rows, run.phase, held),
  );
  return { ...result, output };
}

function nameQkv(run: RunState, layer: number, { q, k, v }: Qkv): Qkv {
  if (!run.activations) return { q, k, v };
  return {
    q: run.activation(layer, 'attention.q', q),
    k: run.activation(layer, 'attention.k', k),
    v: run.activation(layer, 'attention.v', v),
  };
}

function qkvOf(run: RunState, { q, k, v }: Qkv, sequence: number): Qkv {
  return { q: run.rowsOf(q, sequence), k: run.rowsOf(k, sequence), v: run.rowsOf(v, sequence) };
}

/** [B N, heads, D] as [B, heads, N, D]. */
function headsFirst(x: Tensor, batch: number): Tensor {
  const [rows, heads, size] = x.shape as [number, number, number];
  return x.reshape([batch, rows / batch, heads, size]).transpose(0, 2, 1, 3);
}

/** [B, heads, N, D] as [B N, heads D]; a view of what the engine gives. */
function rowsFirst(x: Tensor): Tensor {
  const [batch, heads, count, size] = x.shape as [number, number, number, number];
  const turned = x.transpose(0, 2, 1, 3);
  return (turned.contiguous ? turned : contiguous(turned)).reshape([batch * count, heads * size]);
}
