import type { ImageProcessorConfig } from '../images/processor-config.ts';
import type { ProjectorConfig, VisionTowerConfig } from '../vision/vision-config.ts';
import type { ConfigValues } from '../weights/config-values.ts';
import type { TransformerConfig } from '../weights/model-config.ts';

/** Tokens of one image: cells of the language model's grid, per picture. */
export interface ImageTokens {
  readonly rows: number;
  readonly columns: number;
  /** Further tokens before the cells of a picture (a class token that is kept). */
  readonly leading: number;
  /** Tiles down and across, before the whole picture; 0 where it was not split. */
  readonly tileRows: number;
  readonly tileColumns: number;
}

/** A model that sees, the same for every architecture. */
export interface VisionLanguageConfig {
  /** Such as `llava`. */
  readonly architecture: string;
  readonly text: TransformerConfig;
  readonly vision: VisionTowerConfig;
  readonly projector: ProjectorConfig;
  readonly processor: ImageProcessorConfig;
  /** The token that stands for a cell of an image, and in prompts for an image. */
  readonly imageId: number;
  /** Tokens that templates put around an image. */
  readonly markerIds: readonly number[];
  /** What an image's token is replaced with in the text of a prompt. */
  placeholder(imageToken: string, tokens: ImageTokens): string;
}

/** Architectures of one kind: how their files are read. */
export interface VisionFamily {
  /** `model_type` in config.json. */
  readonly modelTypes: readonly string[];
  /**
   * @param values config.json
   * @param processor preprocessor_config.json, or the image processor's part of processor_config.json
   * @param text Reads the configuration of a language model.
   * @throws ModelConfigError
   */
  read(
    values: ConfigValues,
    processor: ConfigValues,
    text: (values: ConfigValues, modelType: string) => TransformerConfig,
  ): VisionLanguageConfig;
}
