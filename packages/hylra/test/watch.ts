import { type AttentionCall, attention, denseRows, type Method, type Tensor } from '@saccade/core';

/** One attention call as it reaches the engine. */
export interface WatchedCall {
  readonly layer: number;
  readonly q: Tensor;
  readonly keys: Tensor;
  readonly values: Tensor;
  readonly output: Tensor;
  readonly indices: Tensor | undefined;
  readonly keyLength: number;
  /** u32 [1]: key rows that the kernel loaded. */
  readonly loaded: Tensor;
}

/** Stands behind a method and keeps what it leaves to the engine; `change` may swap keys and values. */
export function watching(change: (layer: number, call: AttentionCall) => AttentionCall = (_, call) => call): {
  readonly method: Method;
  readonly calls: WatchedCall[];
  dispose(): void;
} {
  const calls: WatchedCall[] = [];
  const method: Method = {
    name: 'watch',
    options: {},
    phases: ['prefill', 'decode'],
    attend({ gpu, layer, keyLength }, given) {
      const { q, keys, values, options } = change(layer, given);
      const loaded = gpu.keep(gpu.zeros([1], 'u32'));
      const result = attention(q, keys, values, { ...options, keyRowCounter: loaded, returnLogSumExp: true });
      const hold = (tensor: Tensor) => gpu.keep(tensor.alias());
      calls.push({
        layer,
        keyLength,
        loaded,
        q: hold(q),
        keys: hold(denseRows(keys, keys.shape[2] as number)),
        values: hold(denseRows(values, values.shape[2] as number)),
        output: hold(result.output),
        indices: options.tokens && hold(options.tokens.indices),
      });
      return result;
    },
  };
  return {
    method,
    calls,
    dispose() {
      for (const { q, keys, values, output, indices, loaded } of calls)
        for (const tensor of [q, keys, values, output, indices, loaded]) tensor?.dispose();
      calls.length = 0;
    },
  };
}
