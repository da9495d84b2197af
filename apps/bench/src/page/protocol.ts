import type { RawImage } from '@saccade/core';
import type { Listing } from '../listing.ts';
import type { ModelFamily } from '../model-entry.ts';
import type { Environment, Picture, ResultRow } from '../result-file/types.ts';

/** A model by its name in the listing, by a name on the hub, or by files of the user. */
export type ModelChoice =
  | { readonly kind: 'listed'; readonly name: string }
  | { readonly kind: 'hub'; readonly name: string }
  | { readonly kind: 'files'; readonly name: string; readonly files: readonly File[] };

/** A method with what the user set. */
export interface MethodChoice {
  readonly name: string;
  /** In the command line's notation, without the name. */
  readonly options: string;
  /** Share of the context that it may read, where it has a budget. */
  readonly budget: number;
}

/** One own prompt, or image, run dense and with each method. */
export interface CompareRequest {
  readonly methods: readonly MethodChoice[];
  readonly seed: number;
  readonly prompt: string;
  readonly tokens: number;
  readonly steps: number;
  readonly classLabel: number;
  /** Whose attention is shown: the number of a patch. */
  readonly patch: number;
  readonly attention: boolean;
  readonly image?: RawImage;
}

/** A scenario, as the command line runs it with `--quick`. */
export interface ScenarioRequest {
  readonly scenario: string;
  readonly methods: readonly MethodChoice[];
  readonly seed: number;
  /** Empty: the scenario's own. */
  readonly lengths: readonly number[];
  readonly repeats: number | undefined;
}

/** From the page to the worker. One job runs at a time; `cancel` ends it. */
export type Request =
  | { readonly type: 'open' }
  | { readonly type: 'load'; readonly model: ModelChoice }
  | { readonly type: 'compare'; readonly request: CompareRequest }
  | { readonly type: 'scenario'; readonly request: ScenarioRequest }
  | { readonly type: 'cancel' };

/** What is known of a loaded model. */
export interface LoadedModel {
  readonly name: string;
  readonly title: string;
  readonly family: ModelFamily;
  readonly layers: number;
  readonly contextLength: number;
  readonly weightBytes: number;
  /** Patches of an image that it draws. */
  readonly grid: { readonly rows: number; readonly columns: number } | undefined;
}

/** Something went wrong: what, and what to do. */
export interface Trouble {
  readonly kind: 'no-webgpu' | 'device-lost' | 'limits' | 'memory' | 'model' | 'refused' | 'failed';
  readonly title: string;
  readonly detail: string;
  readonly advice: string;
}

/** Pixels for a canvas. */
export interface Pixels {
  readonly width: number;
  readonly height: number;
  /** RGBA. */
  readonly data: Uint8ClampedArray<ArrayBuffer>;
}

/** Where one query looked in one step. */
export interface AttentionStep {
  /** Such as `token 3` or `step 2`. */
  readonly label: string;
  /** By layer: probability of each key, the mean over heads; undefined where nothing was recorded. */
  readonly layers: readonly (Float32Array<ArrayBuffer> | undefined)[];
}

/** What the keys are: tokens of a text, or cells of a grid (of which `positions` hold the keys). */
export type AttentionKeys =
  | { readonly kind: 'tokens'; readonly texts: readonly string[] }
  | {
      readonly kind: 'grid';
      readonly rows: number;
      readonly columns: number;
      readonly positions: readonly number[] | undefined;
    };

/** From the worker to the page. Sides are numbered as they run, the dense one first. */
export type Report =
  | { readonly type: 'listing'; readonly listing: Listing }
  | { readonly type: 'opened'; readonly environment: Environment; readonly adapter: string }
  | { readonly type: 'lost' }
  | { readonly type: 'progress'; readonly label: string; readonly share: number | undefined }
  | { readonly type: 'loaded'; readonly model: LoadedModel }
  | { readonly type: 'sides'; readonly titles: readonly string[] }
  | { readonly type: 'side'; readonly side: number }
  | { readonly type: 'text'; readonly side: number; readonly text: string; readonly append: boolean }
  | { readonly type: 'image'; readonly side: number; readonly label: string; readonly pixels: Pixels }
  | { readonly type: 'keys'; readonly side: number; readonly keys: AttentionKeys }
  | { readonly type: 'attention'; readonly side: number; readonly step: AttentionStep }
  | { readonly type: 'trouble'; readonly side: number; readonly trouble: Trouble }
  | { readonly type: 'row'; readonly side: number | undefined; readonly row: ResultRow }
  | { readonly type: 'picture'; readonly picture: Picture }
  | { readonly type: 'done' }
  | { readonly type: 'cancelled' }
  | { readonly type: 'failed'; readonly trouble: Trouble };
