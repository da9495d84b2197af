import { computed, signal } from '@preact/signals';
import type { RawImage } from '@saccade/core';
import type { Listing } from '../listing.ts';
import type { Environment, Picture, ResultRow } from '../result-file/types.ts';
import { exampleImage } from './example-image.ts';
import type { AttentionKeys, AttentionStep, LoadedModel, Pixels, Trouble } from './protocol.ts';
import { type Setup, settled, setupFromHash, setupToHash } from './setup.ts';

/** What one side of a comparison has shown so far. */
export interface SideView {
  readonly title: string;
  readonly started: boolean;
  readonly text: string;
  readonly image: { readonly label: string; readonly pixels: Pixels } | undefined;
  readonly keys: AttentionKeys | undefined;
  readonly steps: readonly AttentionStep[];
  readonly row: ResultRow | undefined;
  readonly trouble: Trouble | undefined;
}

/** Results of one place: this page's own, or of a file that was opened. */
export interface RunFile {
  /** Names the run in tables where there are several. */
  readonly label: string;
  readonly environment: Environment;
  readonly rows: readonly ResultRow[];
  readonly pictures: readonly Picture[];
}

export type Status =
  | { readonly kind: 'starting' }
  | { readonly kind: 'ready' }
  | { readonly kind: 'unavailable' }
  | { readonly kind: 'busy'; readonly label: string; readonly share: number | undefined };

export const listing = signal<Listing | undefined>(undefined);
export const environment = signal<Environment | undefined>(undefined);
export const adapter = signal('');
export const status = signal<Status>({ kind: 'starting' });
export const trouble = signal<Trouble | undefined>(undefined);
export const notice = signal('');
export const setup = signal<Setup>(setupFromHash(location.hash));
/** The files that were dropped, of which a link can say nothing. */
export const droppedFiles = signal<readonly File[]>([]);
/** An image of the user's, of which a link can say nothing either. */
export const ownImage = signal<{ readonly name: string; readonly image: RawImage } | undefined>(undefined);
/** What a model that sees is shown. */
export const promptImage = computed<RawImage>(() => ownImage.value?.image ?? exampleImage(setup.value.example));
/** What it was shown in the run whose output is on the page. */
export const shownImage = signal<RawImage | undefined>(undefined);
export const model = signal<LoadedModel | undefined>(undefined);
export const sides = signal<readonly SideView[]>([]);
export const ownRows = signal<readonly ResultRow[]>([]);
export const ownPictures = signal<readonly Picture[]>([]);
export const openedFiles = signal<readonly RunFile[]>([]);

/** All runs that have rows, this page's first. */
export const runFiles = computed<readonly RunFile[]>(() => {
  const own = environment.value;
  const mine =
    own && ownRows.value.length > 0
      ? [{ label: 'this page', environment: own, rows: ownRows.value, pictures: ownPictures.value }]
      : [];
  return [...mine, ...openedFiles.value];
});

// A link that is opened in this tab changes only the part of the address behind #.
addEventListener('hashchange', () => {
  const given = setupFromHash(location.hash);
  setup.value = listing.value ? settled(given, listing.value) : given;
});

/** Changes the set-up, drops what no longer fits, and keeps the address in step. */
export function change(part: Partial<Setup>): void {
  notice.value = '';
  const changed = { ...setup.value, ...part };
  setup.value = listing.value ? settled(changed, listing.value) : changed;
  history.replaceState(null, '', `#${setupToHash(setup.value)}`);
}

export function changeSide(side: number, part: Partial<SideView>): void {
  sides.value = sides.value.map((view, index) => (index === side ? { ...view, ...part } : view));
}
