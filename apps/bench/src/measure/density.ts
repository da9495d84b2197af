import type { Method, MethodState } from '@saccade/core';

/** Counts which share of the keys attention was allowed to look at, over all layers and decode steps. */
export class DensityMeter {
  #read = 0;
  #all = 0;

  /** Share of the keys read in decode steps so far; null where there was none. */
  get density(): number | null {
    return this.#all === 0 ? null : this.#read / this.#all;
  }

  /** The method (or the dense run) with this meter in its attention seam. */
  wrap(method: Method | undefined): Method {
    const meter = this;
    return {
      ...(method ?? { name: 'dense', options: {}, phases: [] }),
      attend(context, call, next) {
        if (context.phase !== 'decode') return method?.attend?.(context, call, next) ?? next();
        let read = context.keyLength;
        const pass: typeof next = (restriction) => {
          const { tokens, slidingWindow } = restriction ?? {};
          if (tokens)
            read = Math.min(
              read,
              typeof tokens.counts === 'number' ? tokens.counts : (tokens.indices.shape[2] as number),
            );
          if (slidingWindow !== undefined) read = Math.min(read, slidingWindow);
          return next(restriction);
        };
        const output = method?.attend
          ? method.attend(context as Parameters<NonNullable<Method<MethodState>['attend']>>[0], call, pass)
          : pass();
        meter.#read += read;
        meter.#all += context.keyLength;
        return output;
      },
    };
  }
}
