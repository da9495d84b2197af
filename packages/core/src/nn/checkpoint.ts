import { ArgumentError, ShapeError } from '../errors.ts';
import { isQuantized } from '../tensor/dtype.ts';
import { sameShape } from '../tensor/shape.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { type FileTensor, readTensorFile, writeTensorFile } from '../tensor/tensor-file.ts';
import type { Module } from './module.ts';
import type { Optimizer } from './optim/optimizer.ts';
import { readEntries, writeEntry } from './tensor-entries.ts';

const format = 'training-checkpoint';
const version = 1;
const file = 'loadCheckpoint: file';

/** What a training run consists of. */
export interface TrainingState {
  readonly module: Module;
  readonly optimizer: Optimizer;
}

/** What a checkpoint says beside its tensors. */
interface CheckpointNote {
  readonly step: number;
  readonly counts: Readonly<Record<string, number>>;
}

function parametersOf(module: Module): Map<string, Tensor> {
  return new Map([...module.stateDict()].filter(([, { dtype }]) => !isQuantized(dtype)));
}

/**
 * A training run as a safetensors file: parameters (`parameters.<name>`), what the optimizer keeps (`optimizer.<name>`) and the
 * step. Quantized parameters, which cannot change, are left out. A run that goes on from it continues to the last bit on the
 * same adapter. One readback; write the bytes to another file first and rename it, so that no half-written one takes the place of
 * a good one.
 *
 * @param step of the run, as the data order and the schedule need it
 */
export async function saveCheckpoint({ module, optimizer }: TrainingState, step: number): Promise<Uint8Array> {
  const { tensors, counts } = optimizer.state();
  const entries = await readEntries(
    new Map([
      ...[...parametersOf(module)].map(([name, tensor]) => [`parameters.${name}`, tensor] as const),
      ...[...tensors].map(([name, tensor]) => [`optimizer.${name}`, tensor] as const),
    ]),
  );
  return writeTensorFile({ tensors: entries, note: JSON.stringify({ format, version, step, counts }) });
}

/**
 * Puts a module and an optimizer of the same structure into the state of a checkpoint. Nothing is changed where it does
 * not fit.
 *
 * @returns the step of the run
 * @throws ArgumentError for a file of another kind, or for names that are missing or unknown; ShapeError for another shape
 */
export function loadCheckpoint(bytes: Uint8Array, { module, optimizer }: TrainingState): number {
  const { tensors, note } = readTensorFile(file, bytes);
  const { step, counts } = parseNote(note);
  const part = (prefix: string) =>
    new Map(
      [...tensors].flatMap(([name, entry]) => (name.startsWith(prefix) ? [[name.slice(prefix.length), entry]] : [])),
    );
  const saved = part('parameters.') as Map<string, FileTensor>;
  const parameters = parametersOf(module);
  if (saved.size !== parameters.size || [...saved.keys()].some((name) => !parameters.has(name))) {
    throw new ArgumentError(file, `parameters ${[...saved.keys()].join(', ')}`, [...parameters.keys()].join(', '));
  }
  for (const [name, { shape, dtype }] of saved) {
    const own = parameters.get(name) as Tensor;
    if (!sameShape(shape, own.shape) || dtype !== own.dtype) {
      throw new ShapeError(
        'loadCheckpoint',
        `${name} is ${dtype}[${shape}] in the file, ${own.dtype}[${own.shape}] here.`,
      );
    }
  }
  optimizer.restore({ tensors: part('optimizer.') as Map<string, FileTensor>, counts });
  for (const [name, entry] of saved) writeEntry(parameters.get(name) as Tensor, entry);
  return step;
}

function parseNote(note: string): CheckpointNote {
  let parsed: (Partial<CheckpointNote> & { readonly format?: unknown; readonly version?: unknown }) | null;
  try {
    parsed = JSON.parse(note);
  } catch {
    parsed = null;
  }
  const { step, counts } = parsed ?? {};
  const counted = typeof counts === 'object' && counts !== null && Object.values(counts).every(Number.isSafeInteger);
  if (parsed?.format !== format || parsed.version !== version || !Number.isSafeInteger(step) || !counted) {
    throw new ArgumentError(
      file,
      `${parsed?.format} of version ${parsed?.version}`,
      `a ${format} of version ${version}`,
    );
  }
  return { step: step as number, counts };
}
