import type { Gpu } from '../device/gpu.ts';

/** Calls that record, upload or allocate: a program may be interrupted before each. */
const commands = ['empty', 'write', 'launch', 'copyBytes', 'flush'] as const;

/** Calls that wait: interrupted before, while waiting, or right after. */
const waits = ['prepare', 'synchronize', 'read'] as const;

/** How many points of interruption a program passed. */
export interface InterruptionCount {
  points: number;
}

/**
 * Runs a program and calls `interrupt` at the given point of it: before the n-th command of the Gpu (allocation, upload,
 * dispatch, copy, flush), or before, during or after a wait. For tests of device loss and aborts: the device is the real
 * one, only the moment is chosen.
 *
 * @param point From 1; with 0 the program runs through.
 * @param count Receives the number of points passed, also when the program throws.
 */
export async function withInterruption<Result>(
  gpu: Gpu,
  point: number,
  interrupt: () => void,
  program: () => Promise<Result>,
  count: InterruptionCount = { points: 0 },
): Promise<Result> {
  const pass = () => {
    if (++count.points === point) interrupt();
  };
  // Own properties hide the methods of the class; deleting them gives the methods back.
  const hide = (name: string, value: unknown) => Object.defineProperty(gpu, name, { value, configurable: true });
  for (const name of commands) {
    const original = gpu[name].bind(gpu) as (...given: unknown[]) => unknown;
    hide(name, (...given: unknown[]) => {
      pass();
      return original(...given);
    });
  }
  for (const name of waits) {
    const original = gpu[name].bind(gpu) as (...given: unknown[]) => Promise<unknown>;
    hide(name, async (...given: unknown[]) => {
      pass();
      const pending = original(...given);
      pass();
      const result = await pending;
      pass();
      return result;
    });
  }
  try {
    return await program();
  } finally {
    for (const name of [...commands, ...waits]) Reflect.deleteProperty(gpu, name);
  }
}
