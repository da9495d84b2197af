import { type Method, type MethodState, RefusedError } from '@saccade/core';

/** Whether a method must be in force while its prompt runs; all others may share the dense run's prompt. */
export function actsOnPrompt({ phases }: Method): boolean {
  return phases.includes('prefill');
}

/**
 * A method as it goes on behind a prompt that was run with it: every run starts from a fork of that run's state, so that
 * several questions may follow one text.
 *
 * @throws RefusedError for a state without `fork()`.
 */
export function goOnFrom(method: Method, state: MethodState): Method {
  const { fork } = state as { readonly fork?: () => MethodState };
  if (typeof fork !== 'function') {
    throw new RefusedError(`${method.name}: its state has no fork(), so that one text cannot serve several questions.`);
  }
  return { ...method, createState: () => fork.call(state) };
}
