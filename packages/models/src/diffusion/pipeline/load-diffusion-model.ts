import type { Gpu } from '@saccade/core';
import { describeLicence, modelLicence } from '../../resolve/licence.ts';
import { isPipeline, pipelinePart } from '../../resolve/pipeline-layout.ts';
import { resolveModel } from '../../resolve/resolve-model.ts';
import type { DownloadProgress, ModelFiles, ResolveOptions } from '../../resolve/types.ts';
import { readJson } from '../../weights/json-file.ts';
import { type LoadDtype, loadableWeights } from '../../weights/loadable-weights.ts';
import { openWeights } from '../../weights/open-weights.ts';
import { decoderConfig } from '../autoencoder/decoder-config.ts';
import { ImageDecoder } from '../autoencoder/image-decoder.ts';
import { DiffusionModel } from '../model/diffusion-model.ts';
import { loadNetwork } from '../networks/load-network.ts';
import { defaultScheduler, type SchedulerConfig, schedulerConfig } from '../schedulers/scheduler-config.ts';
import { DiffusionPipeline } from './diffusion-pipeline.ts';

export interface LoadDiffusionModelOptions extends Omit<ResolveOptions, 'onProgress' | 'layout' | 'weights'> {
  /** Called with the share of download and upload that is done, in [0, 1]. */
  readonly onProgress?: ((share: number) => void) | undefined;
  /** Called with the bytes of a download. */
  readonly onDownload?: ((progress: DownloadProgress) => void) | undefined;
  /** Element types of the weights in GPU memory; default `auto`: as the files have them. */
  readonly dtype?: LoadDtype | undefined;
}

/** Shares of the progress: of a download where there is one, of the autoencoder behind the transformer. */
const downloadShare = 0.5;
const decoderShare = 0.1;

/**
 * Loads a diffusion model: a repository of diffusers with its subfolders for transformer, autoencoder and scheduler, or a folder that holds
 * a transformer (`config.json`, safetensors) and perhaps `scheduler_config.json`, whose samples are pixels where it has 3 or 1 channels.
 * Without a scheduler's configuration the network predicts noise over 1000 steps with linear betas, as DiT.
 *
 * @param model A path, the name of a repository on the hub, or files that were found already.
 * @throws ModelNotFoundError with what happened at each place; WeightFileError for a truncated or corrupt file; ModelConfigError for
 *   what is not supported; OutOfMemoryError
 */
export async function loadDiffusionModel(
  gpu: Gpu,
  model: string | ModelFiles,
  options: LoadDiffusionModelOptions = {},
): Promise<DiffusionPipeline> {
  const { onProgress, onDownload, dtype, ...resolveOptions } = options;
  let downloaded = 0;
  const resolved = (nameOrPath: string) =>
    resolveModel(nameOrPath, {
      ...resolveOptions,
      layout: 'pipeline',
      onProgress: (progress) => {
        onDownload?.(progress);
        if (!progress.overall) return;
        downloaded = (downloadShare * progress.overall.loadedBytes) / progress.overall.totalBytes;
        onProgress?.(downloaded);
      },
    });
  const files = typeof model === 'string' ? await resolved(model) : model;
  const { signal, onMessage } = options;
  const report = (share: number) => {
    signal?.throwIfAborted();
    onProgress?.(downloaded + (1 - downloaded) * share);
  };
  signal?.throwIfAborted();
  const pipeline = isPipeline(files);
  const transformer = (pipeline && pipelinePart(files, 'transformer')) || files;
  const vae = pipeline ? pipelinePart(files, 'vae') : undefined;
  const scheduler = await readScheduler((pipeline && pipelinePart(files, 'scheduler')) || files);
  // Read first: what is not supported is told before weights are loaded.
  const decoding = vae?.names.includes('config.json') ? await readDecoder(vae) : undefined;
  const networkShare = decoding ? 1 - decoderShare : 1;
  const network = await loadNetwork(gpu, files.name, transformer, {
    dtype,
    onProgress: (share) => report(networkShare * share),
  });
  try {
    const licence = await licenceOfModel(files, transformer);
    if (licence) onMessage?.(`${files.name}: licence ${describeLicence(licence)}`);
    const decoder = decoding
      ? await loadImageDecoder(gpu, decoding, dtype, (share) => report(networkShare + decoderShare * share))
      : undefined;
    return new DiffusionPipeline({ model: new DiffusionModel(network), decoder, scheduler, licence });
  } catch (error) {
    network.dispose();
    throw error;
  }
}

async function readScheduler(files: ModelFiles): Promise<SchedulerConfig> {
  const name = 'scheduler_config.json';
  return files.names.includes(name) ? schedulerConfig(await readJson(files, name)) : defaultScheduler;
}

interface Decoding {
  readonly config: ReturnType<typeof decoderConfig>;
  readonly files: ModelFiles;
}

/** The autoencoder that can be decoded with; undefined for those of videos, whose results stay latents. */
async function readDecoder(files: ModelFiles): Promise<Decoding | undefined> {
  const json = await readJson(files, 'config.json');
  const kind = typeof json === 'object' && json !== null && '_class_name' in json ? json._class_name : undefined;
  return kind === 'AutoencoderKLCogVideoX' ? undefined : { config: decoderConfig(json), files };
}

async function loadImageDecoder(
  gpu: Gpu,
  { config, files }: Decoding,
  dtype: LoadDtype | undefined,
  onProgress: (share: number) => void,
): Promise<ImageDecoder> {
  const weights = await openWeights(files);
  try {
    return await ImageDecoder.load(gpu, config, loadableWeights(weights, { dtype }), onProgress);
  } finally {
    await weights.close();
  }
}

async function licenceOfModel(files: ModelFiles, transformer: ModelFiles) {
  const weights = await openWeights(transformer);
  try {
    return await modelLicence(files, weights);
  } finally {
    await weights.close();
  }
}
