import {
  type AttentionContext,
  denseRows,
  type Method,
  type MethodState,
  type Tensor,
  type TokenList,
} from '@saccade/core';

/** One attention call as a recording method saw it. Tensors are kept until `dispose`. */
export interface RecordedCall {
  readonly layer: number;
  readonly phase: string;
  /** Query of the call, [B, H, N, D]. */
  readonly q: Tensor;
  readonly keys: Tensor;
  readonly values: Tensor;
  /** The list that the method restricted the engine to. */
  readonly tokens: Tensor | undefined;
}

/** Wraps a method and records what passes its attention seam in decode steps. */
export function recording<S extends MethodState>(
  method: Method<S>,
): { method: Method<S>; calls: RecordedCall[]; dispose(): void } {
  const calls: RecordedCall[] = [];
  const wrapped: Method<S> = {
    ...method,
    // Every step is to pass through here.
    steadySteps: false,
    attend(context: AttentionContext<S>, call, next) {
      let tokens: TokenList | undefined;
      const pass: typeof next = (restriction) => {
        tokens = restriction?.tokens;
        return next(restriction);
      };
      const output = method.attend ? method.attend(context, call, pass) : pass();
      if (context.phase === 'decode') {
        const hold = (tensor: Tensor) => context.gpu.keep(tensor.alias());
        calls.push({
          layer: context.layer,
          phase: context.phase,
          q: hold(call.q),
          keys: hold(denseRows(call.keys, call.keys.shape[2] as number)),
          values: hold(denseRows(call.values, call.values.shape[2] as number)),
          tokens: tokens && hold(tokens.indices),
        });
      }
      return output;
    },
  };
  return {
    method: wrapped,
    calls,
    dispose() {
      for (const call of calls) {
        for (const tensor of [call.q, call.keys, call.values, call.tokens]) tensor?.dispose();
      }
    },
  };
}
