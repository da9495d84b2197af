import { ArgumentError, concatenate, type Gpu, Tensor } from '@saccade/core';
import type { Condition, Conditioning } from '../networks/denoising-network.ts';
import type { DiffusionGenerateOptions } from './generate-options.ts';

/** The conditions of a run, as tensors that live as long as it. */
export interface RunConditions {
  /** Images, or videos, of the run. */
  readonly samples: number;
  /** Of the samples alone. */
  readonly plain: Condition;
  /** Of the samples, then of as many without a condition; undefined without guidance. */
  readonly guided: Condition | undefined;
  dispose(): void;
}

type Given = Pick<DiffusionGenerateOptions, 'classLabel' | 'captionEmbeddings' | 'negativeCaptionEmbeddings'>;

/** @throws ArgumentError where the condition is missing or not the network's */
export function runConditions(gpu: Gpu, conditioning: Conditioning, given: Given, guided: boolean): RunConditions {
  const tensors: Tensor[] = [];
  const keep = (tensor: Tensor): Tensor => {
    tensors.push(gpu.keep(tensor));
    return tensor;
  };
  const dispose = () => {
    for (const tensor of tensors) tensor.dispose();
  };
  try {
    const made = gpu.tidy(() =>
      conditioning.kind === 'classes'
        ? classConditions(gpu, conditioning.classes, given, guided, keep)
        : captionConditions(gpu, conditioning, given, guided, keep),
    );
    return { ...made, dispose };
  } catch (error) {
    dispose();
    throw error;
  }
}

function classConditions(
  gpu: Gpu,
  classes: number,
  given: Given,
  guided: boolean,
  keep: (tensor: Tensor) => Tensor,
): Omit<RunConditions, 'dispose'> {
  refuse(given, ['captionEmbeddings', 'negativeCaptionEmbeddings'], 'none, since the network knows classes');
  const labels = given.classLabel === undefined ? [] : [given.classLabel].flat();
  const sound = labels.every((label) => Number.isInteger(label) && label >= 0 && label < classes);
  if (labels.length === 0 || !sound) {
    throw new ArgumentError('classLabel', given.classLabel, `classes from 0 to ${classes - 1}`);
  }
  const upload = (ids: readonly number[]): Condition => ({ labels: keep(gpu.tensor(ids, [ids.length], 'u32')) });
  return {
    samples: labels.length,
    plain: upload(labels),
    guided: guided ? upload([...labels, ...labels.map(() => classes)]) : undefined,
  };
}

function captionConditions(
  gpu: Gpu,
  { channels, ragged }: Conditioning & { readonly kind: 'captions' },
  given: Given,
  guided: boolean,
  keep: (tensor: Tensor) => Tensor,
): Omit<RunConditions, 'dispose'> {
  refuse(given, ['classLabel'], 'none, since the network reads captions');
  const { captionEmbeddings, negativeCaptionEmbeddings: negative } = given;
  const captions: readonly Tensor[] =
    captionEmbeddings instanceof Tensor ? [captionEmbeddings] : (captionEmbeddings ?? []);
  const expected = `f32 [tokens, ${channels}]`;
  if (captions.length === 0) throw new ArgumentError('captionEmbeddings', captionEmbeddings, expected);
  if (guided && !negative) {
    throw new ArgumentError('negativeCaptionEmbeddings', negative, `${expected}, or guidance: 1 without it`);
  }
  const all = guided ? [...captions, ...captions.map(() => negative as Tensor)] : captions;
  for (const caption of all) {
    const { dtype, rank, shape } = caption;
    if (dtype !== 'f32' || rank !== 2 || shape[0] === 0 || shape[1] !== channels) {
      throw new ArgumentError('captionEmbeddings', `${dtype}[${shape}]`, expected);
    }
  }
  const lengths = all.map(({ shape }) => shape[0] as number);
  const longest = Math.max(...lengths);
  if (!ragged && lengths.some((length) => length !== longest)) {
    throw new ArgumentError('captionEmbeddings', `${lengths.join(', ')} tokens`, 'equally many, padded as in training');
  }
  const pack = (some: readonly Tensor[]): Condition => {
    const padded = some.map((caption) => {
      const missing = longest - (caption.shape[0] as number);
      return missing === 0 ? caption : concatenate([caption, gpu.zeros([missing, channels])]);
    });
    const captionLengths = some.map(({ shape }) => shape[0] as number);
    return {
      captions: keep(concatenate(padded).reshape([some.length, longest, channels])),
      ...(ragged ? { captionLengths: keep(gpu.tensor(captionLengths, [some.length], 'u32')) } : {}),
    };
  };
  return { samples: captions.length, plain: pack(captions), guided: guided ? pack(all) : undefined };
}

function refuse(given: Given, names: readonly (keyof Given)[], allowed: string): void {
  for (const name of names) if (given[name] !== undefined) throw new ArgumentError(name, 'given', allowed);
}
