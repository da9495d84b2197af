import type { AdapterReport } from './adapter.ts';

/** Which adapter the user wants. */
export type AdapterRequest =
  | { readonly by: 'order' }
  | { readonly by: 'kind'; readonly kind: 'hardware' | 'lavapipe' | 'swiftshader' }
  | { readonly by: 'name'; readonly name: string };

/**
 * Reads `SACCADE_ADAPTER`: unset takes hardware, then lavapipe, then SwiftShader; `hardware`, `lavapipe` or
 * `swiftshader` forces that kind; anything else is looked for in the adapters' names, ignoring case.
 */
export function adapterRequest(environment: NodeJS.ProcessEnv = process.env): AdapterRequest {
  const wanted = environment.SACCADE_ADAPTER?.trim() ?? '';
  const lower = wanted.toLowerCase();
  if (wanted === '') return { by: 'order' };
  if (lower === 'hardware' || lower === 'lavapipe' || lower === 'swiftshader') return { by: 'kind', kind: lower };
  return { by: 'name', name: wanted };
}

/** Why an adapter is not what was asked for, or undefined where it is. */
export function refusal(request: AdapterRequest, adapter: AdapterReport): string | undefined {
  if (request.by === 'kind' && adapter.kind !== request.kind) {
    return `it is ${adapter.kind}, SACCADE_ADAPTER asks for ${request.kind}`;
  }
  if (request.by === 'name') {
    const names = `${adapter.vendor} ${adapter.architecture} ${adapter.device} ${adapter.description}`.toLowerCase();
    if (!names.includes(request.name.toLowerCase()))
      return `its name does not contain SACCADE_ADAPTER="${request.name}"`;
  }
  return undefined;
}
