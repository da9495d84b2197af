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
  /** Whatever else the run changes in place, by name, such as moving averages. */
  readonly tensors?: ReadonlyMap<string, Tensor>;
}

/** What a checkpoint says beside its tensors. */
interface CheckpointNote {
  readonly step: number;
  readonly counts: Readonly<Record<string, number>>;
  readonly fingerprint: string;
}

function parametersOf(module: Module): Map<string, Tensor> {
  return new Map([...module.stateDict()].filter(([, { dtype }]) => !isQuantized(dtype)));
}

/**
 * A training run as a safetensors file: parameters (`parameters.<name>`), what the optimizer keeps (`optimizer.<name>`), further tensors
 * (`run.<name>`) and the step. Quantized parameters, which cannot change, are left out. A run that goes on from it continues to
 * the last bit where the fingerprint is the same. One readback; `checkpointFile` of `@saccade/core/node` writes the bytes so that
 * no half-written file takes the place of a good one.
 *
 * @param step of the run, as the data order and the schedule need it
 */
export async function saveCheckpoint(state: TrainingState, step: number): Promise<Uint8Array> {
  const { module, optimizer } = state;
  const { tensors, counts } = optimizer.state();
  const entries = await readEntries(
    new Map([
      ...[...parametersOf(module)].map(([name, tensor]) => [`parameters.${name}`, tensor] as const),
      ...[...tensors].map(([name, tensor]) => [`optimizer.${name}`, tensor] as const),
      ...[...(state.tensors ?? [])].map(([name, tensor]) => [`run.${name}`, tensor] as const),
    ]),
  );
  const note: CheckpointNote = { step, counts, fingerprint: fingerprintOf(module) };
  return writeTensorFile({ tensors: entries, note: JSON.stringify({ format, version, ...note }) });
}

/**
 * Puts a run of the same structure into the state of a checkpoint. Nothing is changed where it does not fit.
 *
 * @param options.onWarning told where adapter or kernels differ from those that the checkpoint was made with: the run goes on, but not
 *   to the last bit. Default `console.warn`
 * @returns the step of the run
 * @throws ArgumentError for a file of another kind, or for names that are missing or unknown; ShapeError for another shape
 */
export function loadCheckpoint(
  bytes: Uint8Array,
  { module, optimizer, tensors: further = new Map() }: TrainingState,
  options: { readonly onWarning?: (line: string) => void } = {},
): number {
  const { tensors, note } = readTensorFile(file, bytes);
  const { step, counts, fingerprint } = parseNote(note);
  const part = (prefix: string) =>
    new Map(
      [...tensors].flatMap(([name, entry]) => (name.startsWith(prefix) ? [[name.slice(prefix.length), entry]] : [])),
    ) as Map<string, FileTensor>;
  const own = [
    { saved: part('parameters.'), tensors: parametersOf(module), what: 'parameters' },
    { saved: part('run.'), tensors: further, what: 'further tensors' },
  ];
  for (const each of own) checkFit(each);
  optimizer.restore({ tensors: part('optimizer.'), counts });
  for (const { saved, tensors: targets } of own) {
    for (const [name, entry] of saved) writeEntry(targets.get(name) as Tensor, entry);
  }
  const here = fingerprintOf(module);
  if (fingerprint !== here) {
    const warn = options.onWarning ?? ((line: string) => console.warn(line));
    warn(`The checkpoint was made on ${fingerprint}; this is ${here}. Losses will differ in their last bits.`);
  }
  return step;
}

interface SavedPart {
  readonly saved: ReadonlyMap<string, FileTensor>;
  readonly tensors: ReadonlyMap<string, Tensor>;
  readonly what: string;
}

function checkFit({ saved, tensors, what }: SavedPart): void {
  if (saved.size !== tensors.size || [...saved.keys()].some((name) => !tensors.has(name))) {
    throw new ArgumentError(file, `${what} ${[...saved.keys()].join(', ')}`, [...tensors.keys()].join(', '));
  }
  for (const [name, { shape, dtype }] of saved) {
    const own = tensors.get(name) as Tensor;
    if (!sameShape(shape, own.shape) || dtype !== own.dtype) {
      throw new ShapeError(
        'loadCheckpoint',
        `${name} is ${dtype}[${shape}] in the file, ${own.dtype}[${own.shape}] here.`,
      );
    }
  }
}

/** What decides the last bits of a result: the adapter, and the kernels chosen for it. */
function fingerprintOf(module: Module): string {
  const [parameter] = module.parameters().values();
  return parameter ? parameter.tensor.gpu.fingerprint : 'no adapter';
}

function parseNote(note: string): CheckpointNote {
  let parsed: (Partial<CheckpointNote> & { readonly format?: unknown; readonly version?: unknown }) | null;
  try {
    parsed = JSON.parse(note);
  } catch {
    parsed = null;
  }
  const { step, counts, fingerprint = '' } = parsed ?? {};
  const counted = typeof counts === 'object' && counts !== null && Object.values(counts).every(Number.isSafeInteger);
  if (parsed?.format !== format || parsed.version !== version || !Number.isSafeInteger(step) || !counted) {
    throw new ArgumentError(
      file,
      `${parsed?.format} of version ${parsed?.version}`,
      `a ${format} of version ${version}`,
    );
  }
  return { step: step as number, counts, fingerprint: String(fingerprint) };
}
