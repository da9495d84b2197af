import type { Gpu } from '../device/gpu.ts';
import { ArgumentError } from '../errors.ts';
import type { PromptFacts } from '../protocol/encoded-prompt.ts';
import type { HostArray, PlainDtype } from '../tensor/dtype.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { type FileTensor, fileTensor, readTensorFile, writeTensorFile } from '../tensor/tensor-file.ts';
import { ContiguousLayer } from './contiguous-layer.ts';
import { headStride } from './head-table.ts';
import { checkPagedFacts } from './paged/check-facts.ts';
import { type PagedFacts, PagedLayer } from './paged/paged-layer.ts';
import { type RaggedFacts, RaggedLayer } from './ragged-layer.ts';
import { StateLayer } from './state-layer.ts';
import type { CacheDtype, CacheLayer, SavedLayer } from './types.ts';
import { WindowLayer } from './window-layer.ts';

/** What the owner of the layers knows. */
export interface SavedCache {
  readonly batch: number;
  readonly kvHeads: number;
  readonly headSize: number;
  readonly dtype: CacheDtype;
  readonly capacity: number;
  readonly lengths: readonly number[];
  /** What is known of the sequences' prompts, where something is. */
  readonly prompts?: readonly (PromptFacts | null | undefined)[];
}

const argument = 'KvCache.restore: bytes';
const version = 1;

/** All layers in one file, after one readback. */
export async function saveLayers(gpu: Gpu, cache: SavedCache, saved: readonly SavedLayer[]): Promise<Uint8Array> {
  const named = saved.flatMap(({ tensors, rows }, layer) =>
    Object.entries(tensors).map(([name, tensor]) => ({ name: `layers.${layer}.${name}`, tensor, rows })),
  );
  const tensors = new Map<string, FileTensor>();
  try {
    const read = await gpu.read(named.map(({ tensor }) => tensor));
    for (const [index, { name, tensor, rows }] of named.entries()) {
      const data = read[index] as HostArray;
      if (rows) clearUnused(data, tensor.shape, rows);
      tensors.set(name, fileTensor(data, tensor.dtype as PlainDtype, tensor.shape));
    }
  } finally {
    for (const { tensor } of named) tensor.dispose();
  }
  const note = JSON.stringify({ format: 'kv-cache', version, ...cache, layers: saved.map(({ facts }) => facts) });
  return writeTensorFile({ tensors, note });
}

/** The layers of a file, on the GPU. @throws ArgumentError for bytes that were not saved like this */
export function restoreLayers(gpu: Gpu, bytes: Uint8Array): { cache: SavedCache; layers: CacheLayer[] } {
  const { tensors, note } = readTensorFile(argument, bytes);
  const { layers: facts, ...cache } = parseNote(note);
  const layers: CacheLayer[] = [];
  try {
    for (const [index, own] of facts.entries()) {
      const prefix = `layers.${index}.`;
      const named = [...tensors].filter(([name]) => name.startsWith(prefix));
      layers.push(
        restoreLayer(
          gpu,
          own,
          named.map(([name, tensor]) => [name.slice(prefix.length), tensor]),
          cache,
        ),
      );
    }
  } catch (error) {
    for (const layer of layers) layer.dispose();
    throw error;
  }
  return { cache, layers };
}

interface LayerFacts {
  readonly kind: string;
  readonly capacity: number;
}

function restoreLayer(
  gpu: Gpu,
  facts: LayerFacts,
  tensors: readonly (readonly [string, FileTensor])[],
  cache: SavedCache,
): CacheLayer {
  const shapes = new Map(tensors.map(([name, { shape }]) => [name, shape]));
  checkShapes(facts, shapes, cache);
  // Tensors that a layer takes over leave this scope.
  return gpu.tidy(() => {
    const uploaded: Record<string, Tensor> = {};
    for (const [name, { bytes, shape, dtype }] of tensors) uploaded[name] = gpu.fromBytes(bytes, shape, dtype);
    switch (facts.kind) {
      case 'contiguous':
        return ContiguousLayer.restore(gpu, facts, uploaded as { keys: Tensor; values: Tensor });
      case 'window':
        return WindowLayer.restore(gpu, uploaded as { keys: Tensor; values: Tensor });
      case 'paged':
        return PagedLayer.restore(gpu, facts as unknown as PagedFacts, uploaded);
      case 'ragged':
        return RaggedLayer.restore(
          gpu,
          facts as unknown as RaggedFacts,
          uploaded as Record<'keys' | 'values' | 'positions' | 'heads', Tensor>,
        );
      default:
        return StateLayer.restore(gpu, uploaded);
    }
  });
}

/** What later accesses rely on; a file may be damaged or made by hand. */
function checkShapes(
  facts: LayerFacts,
  shapes: ReadonlyMap<string, readonly number[]>,
  { batch, lengths }: SavedCache,
): void {
  const [keys, values] = [shapes.get('keys'), shapes.get('values')];
  const alike = keys !== undefined && `${keys}` === `${values}`;
  const fits = (): boolean => {
    switch (facts.kind) {
      case 'contiguous':
        return alike && keys.length === 4 && keys[0] === batch && (keys[2] as number) >= Math.max(...lengths);
      case 'window':
        return alike && keys.length === 4 && keys[0] === batch && (keys[2] as number) > 0;
      case 'ragged': {
        const { sequences, kvHeads, parity, window } = facts as unknown as RaggedFacts;
        const positive = (value: unknown) => Number.isSafeInteger(value) && (value as number) > 0;
        if (!positive(kvHeads) || !(parity === 0 || parity === 1)) return false;
        if (window !== undefined && !positive(window)) return false;
        if (!Array.isArray(sequences) || sequences.length !== batch) return false;
        const rows = keys?.[0] ?? 0;
        const sound = sequences.every((own, sequence) => soundSequence(own, kvHeads, lengths[sequence] as number));
        const needed = sequences.reduce((sum, { total, room }) => sum + total + kvHeads * room, 0);
        const words = 3 * headStride(batch * kvHeads);
        const shaped = `${shapes.get('positions')}` === `${rows}` && `${shapes.get('heads')}` === `${words}`;
        return alike && keys.length === 2 && sound && needed <= rows && shaped;
      }
      case 'paged':
        return checkPagedFacts(facts, batch, shapes);
      case 'state':
        return [...shapes.values()].every((shape) => shape[0] === batch);
      default:
        return false;
    }
  };
  if (!fits()) {
    const described = [...shapes].map(([name, shape]) => `${name} [${shape}]`).join(', ');
    throw new ArgumentError(argument, `a ${facts.kind} layer of ${described}`, 'the bytes that were saved');
  }
}

/** What the host knows of a ragged sequence: buffers are sized and appends are let in by it. */
function soundSequence(own: unknown, kvHeads: number, length: number): boolean {
  if (typeof own !== 'object' || own === null) return false;
  const { total, longest, since, appended, room } = own as Record<string, number>;
  const counts = [total, longest, since, appended, room] as number[];
  if (!counts.every((count) => Number.isSafeInteger(count) && count >= 0)) return false;
  const [most, tallest, from, added] = counts as [number, number, number, number];
  return tallest <= most && most <= tallest * kvHeads && from <= length && added <= length - from && added <= tallest;
}

function parseNote(note: string): SavedCache & { layers: LayerFacts[] } {
  let parsed: (SavedCache & { format?: unknown; version?: unknown; layers: LayerFacts[] }) | null;
  try {
    parsed = JSON.parse(note);
  } catch {
    parsed = null;
  }
  const { format, version: given, ...cache } = parsed ?? ({} as NonNullable<typeof parsed>);
  const { batch, capacity, lengths, layers, prompts } = cache;
  const counts =
    Array.isArray(lengths) && [batch, capacity, ...lengths].every((n) => Number.isSafeInteger(n) && n >= 0);
  if (format !== 'kv-cache' || given !== version || !Array.isArray(layers) || !counts || lengths.length !== batch) {
    throw new ArgumentError(argument, `${format} of version ${given}`, `a kv-cache of version ${version}`);
  }
  if (prompts !== undefined && !(Array.isArray(prompts) && prompts.length === batch)) {
    throw new ArgumentError(argument, 'prompts of other sequences', `those of ${batch} sequences`);
  }
  return cache;
}

/** Zeros where no row counts, so that a cache is always saved as the same bytes. */
function clearUnused(data: HostArray, shape: readonly number[], lengths: readonly number[]): void {
  const [batch, kvHeads, rows, headSize] = shape as [number, number, number, number];
  for (let head = 0; head < batch * kvHeads; head++) {
    const used = Math.min(lengths[Math.floor(head / kvHeads)] as number, rows);
    data.fill(0, (head * rows + used) * headSize, (head + 1) * rows * headSize);
  }
}
