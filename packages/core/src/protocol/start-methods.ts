import { RefusedError } from '../errors.ts';
import type { MethodState } from './contexts.ts';
import type { Method, RunSettings } from './method.ts';
import type { ModelHandle } from './model-handle.ts';
import { checkOwners, disposeOwner, type Owner, SequenceIndices } from './owners.ts';
import { checkEviction, checkLists, checkRequirements } from './requirements.ts';

/** Checks methods against the model and each other and makes their states; on failure none stays behind. */
export async function startMethods(
  model: ModelHandle,
  method: Method | readonly Method[] | undefined,
  settings: Partial<RunSettings>,
): Promise<Owner[]> {
  const owners: Owner[] = [];
  try {
    for (const each of accepted(model, method)) {
      settings.signal?.throwIfAborted();
      owners.push(ownerOf(model, each, (await each.createState?.(model, settingsOf(settings))) ?? {}));
    }
    return owners;
  } catch (error) {
    for (const owner of owners) disposeOwner(owner);
    throw error;
  }
}

/** As {@link startMethods}, without waiting. @throws RefusedError for a method that waits while it makes its state */
export function startMethodsNow(
  model: ModelHandle,
  method: Method | readonly Method[] | undefined,
  settings: Partial<RunSettings>,
): Owner[] {
  const owners: Owner[] = [];
  try {
    for (const each of accepted(model, method)) {
      const state = each.createState?.(model, settingsOf(settings)) ?? {};
      if (state instanceof Promise) {
        state.catch(() => undefined);
        throw new RefusedError(`${each.name} waits while it makes its state; start the run with MethodRun.start.`);
      }
      owners.push(ownerOf(model, each, state));
    }
    return owners;
  } catch (error) {
    for (const owner of owners) disposeOwner(owner);
    throw error;
  }
}

/** The methods of a run. @throws RefusedError where they do not fit the model or each other */
function accepted(model: ModelHandle, method: Method | readonly Method[] | undefined): readonly Method[] {
  const methods = method === undefined ? [] : [method].flat();
  checkOwners(methods);
  checkEviction(methods);
  checkLists(methods);
  for (const each of methods) checkRequirements(each, model.facts);
  return methods;
}

function settingsOf({ seed = 0, signal }: Partial<RunSettings>): RunSettings {
  return { seed, signal };
}

function ownerOf(model: ModelHandle, method: Method, state: MethodState): Owner {
  return { method, state, indices: new SequenceIndices(model.gpu, model.facts.layerKinds) };
}
