import { readFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import type { ResolveOptions } from '../types.ts';

/** Folder of Hugging Face's cache, found as its Python library finds it. */
export function hubCacheFolder({ hubCacheFolder: given }: ResolveOptions): string {
  return given ?? expanded('HF_HUB_CACHE') ?? expanded('HUGGINGFACE_HUB_CACHE') ?? join(hubHome(), 'hub');
}

/** The access token: the option, the environment, or the file that `hf auth login` writes. */
export async function hubToken({ token }: ResolveOptions): Promise<string | undefined> {
  if (token !== undefined) return token || undefined;
  if (isSet('HF_HUB_DISABLE_IMPLICIT_TOKEN')) return undefined;
  const given = process.env.HF_TOKEN || process.env.HUGGING_FACE_HUB_TOKEN;
  if (given) return given.trim() || undefined;
  const file = expanded('HF_TOKEN_PATH') ?? join(hubHome(), 'token');
  return (await readFile(file, 'utf8').catch(() => '')).trim() || undefined;
}

/** Whether the network must not be used. */
export function hubIsOffline({ offline }: ResolveOptions): boolean {
  return offline ?? (isSet('HF_HUB_OFFLINE') || isSet('TRANSFORMERS_OFFLINE'));
}

function hubHome(): string {
  return expanded('HF_HOME') ?? join(expanded('XDG_CACHE_HOME') ?? join(homedir(), '.cache'), 'huggingface');
}

/** A path of the environment, with `~` for the home folder. */
function expanded(name: string): string | undefined {
  const value = process.env[name];
  if (!value) return undefined;
  return value === '~' || value.startsWith('~/') ? join(homedir(), value.slice(1)) : value;
}

function isSet(name: string): boolean {
  return ['1', 'ON', 'YES', 'TRUE'].includes((process.env[name] ?? '').toUpperCase());
}
