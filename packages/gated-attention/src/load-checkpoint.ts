import { ArgumentError, cast, copyInto, ShapeError, type Tensor } from '@saccade/core';
import type { GatedAttention } from './gated-attention.ts';
import { type GateLayout, splitGatedQueryProjection } from './query-projection.ts';

export interface LoadGatedAttentionOptions {
  /** What precedes the names, such as `model.layers.0.self_attn`; default nothing. */
  readonly prefix?: string;
  /** Default `grouped`, that of the paper's checkpoints. */
  readonly layout?: GateLayout;
  /** Name of the gate's matrix in the layout `separate`. Default `gate_proj`. */
  readonly gateName?: string;
}

/**
 * Fills a layer from a checkpoint, under the names of its parameters. Nothing is changed where a tensor is missing or has another shape. The checkpoint's tensors stay the caller's.
 *
 * @param tensors by name, of any plain dtype; those that do not begin with the prefix are ignored
 * @throws ArgumentError for a tensor that is missing or that the layer has no place for (a bias, a norm), or a layer whose gate is no
 *   projection of the input; ShapeError for another shape
 */
export function loadGatedAttention(
  layer: GatedAttention,
  tensors: ReadonlyMap<string, Tensor>,
  { prefix = '', layout = 'grouped', gateName = 'gate_proj' }: LoadGatedAttentionOptions = {},
): void {
  const { sizes, options } = layer;
  if (options.source !== 'input' || (layout !== 'separate' && options.position !== 'g1')) {
    throw new ArgumentError(
      'loadGatedAttention: layer',
      `a gate of the source ${options.source} at ${options.position}`,
      'the source input, at g1 unless the layout is separate',
    );
  }
  const start = prefix === '' ? '' : `${prefix}.`;
  const unused = new Set([...tensors.keys()].filter((name) => name.startsWith(start)));
  const find = (name: string) => {
    const full = `${start}${name}`;
    const found = tensors.get(full);
    unused.delete(full);
    if (!found) throw new ArgumentError('loadGatedAttention: tensors', `no ${full}`, [...tensors.keys()].join(', '));
    return found;
  };
  const parameters = layer.stateDict();
  const [first] = parameters.values();
  (first as Tensor).gpu.tidy(() => {
    const given = new Map<string, Tensor>();
    for (const name of parameters.keys()) {
      const [part, kind] = name.split('.') as [string, string];
      if (layout === 'separate' || (part !== 'q_proj' && part !== 'gate_proj')) {
        given.set(name, find(part === 'gate_proj' ? `${gateName}.${kind}` : name));
      } else if (part === 'q_proj') {
        const { granularity } = options;
        const { query, gate } = splitGatedQueryProjection(find(name), { ...sizes, granularity, layout });
        given.set(name, query).set(`gate_proj.${kind}`, gate);
      }
    }
    if (unused.size > 0) {
      throw new ArgumentError('loadGatedAttention: tensors', [...unused].join(', '), [...parameters.keys()].join(', '));
    }
    for (const [name, target] of parameters) {
      const { shape } = given.get(name) as Tensor;
      if (shape.join() !== target.shape.join()) {
        throw new ShapeError(
          'loadGatedAttention',
          `${name} is [${shape}] in the file, [${target.shape}] in the layer.`,
        );
      }
    }
    for (const [name, target] of parameters) copyInto(target, cast(given.get(name) as Tensor, 'f32'));
  });
}
