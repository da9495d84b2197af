import { sideView } from './empty-side.ts';
import type { ModelChoice, Report, Request } from './protocol.ts';
import { methodChoices, settled } from './setup.ts';
import * as store from './store.ts';

let worker: Worker | undefined;
let settle: ((outcome: 'done' | 'cancelled' | 'failed') => void) | undefined;

/** Starts the worker and opens the GPU; after a lost device once more. */
export async function open(): Promise<void> {
  worker?.terminate();
  settle?.('failed');
  worker = new Worker(new URL('./worker/main.ts', import.meta.url), { type: 'module' });
  worker.onmessage = ({ data }: MessageEvent<Report>) => receive(data);
  worker.onerror = (event) => {
    const detail = event.message || 'The worker could not be started.';
    receive({
      type: 'failed',
      trouble: { kind: 'failed', title: 'The page’s worker failed', detail, advice: 'Reload the page.' },
    });
  };
  store.status.value = { kind: 'starting' };
  store.trouble.value = undefined;
  store.model.value = undefined;
  const outcome = await ask({ type: 'open' });
  store.status.value = { kind: outcome === 'done' ? 'ready' : 'unavailable' };
}

/** Loads the chosen model unless it is there, then runs the chosen task. */
export async function run(): Promise<void> {
  const { setup, status, sides, trouble, notice } = store;
  trouble.value = undefined;
  notice.value = '';
  const current = setup.value;
  const scenario = store.listing.value?.scenarios.find(({ name }) => name === current.task);
  const lengths = current.lengths
    .split(/[\s,]+/)
    .filter(Boolean)
    .map(Number);
  if (scenario?.needs !== 'none' && !(await load())) return;
  if (scenario) sides.value = [];
  status.value = { kind: 'busy', label: 'Running', share: undefined };
  const methods = methodChoices(current);
  const image = !scenario && store.model.value?.family === 'vision' ? store.promptImage.value : undefined;
  store.shownImage.value = image;
  await ask(
    scenario
      ? {
          type: 'scenario',
          request: {
            scenario: scenario.name,
            methods,
            seed: current.seed,
            lengths,
            repeats: current.repeats === '' ? undefined : Number(current.repeats),
          },
        }
      : { type: 'compare', request: { ...current, methods, ...(image ? { image } : {}) } },
  );
  finish();
}

/** Loads the chosen model. @returns whether it is there */
export async function load(): Promise<boolean> {
  const choice = chosenModel();
  if (store.model.value && sameModel(choice, store.model.value.name)) return true;
  store.model.value = undefined;
  store.trouble.value = undefined;
  store.status.value = { kind: 'busy', label: 'Loading the model', share: undefined };
  const outcome = await ask({ type: 'load', model: choice });
  finish();
  return outcome === 'done';
}

export function cancel(): void {
  worker?.postMessage({ type: 'cancel' } satisfies Request);
}

function finish(): void {
  if (store.status.value.kind === 'busy') store.status.value = { kind: 'ready' };
}

function chosenModel(): ModelChoice {
  const { model } = store.setup.value;
  if (model.startsWith('hub:')) return { kind: 'hub', name: model.slice(4) };
  if (model !== 'files') return { kind: 'listed', name: model };
  const files = store.droppedFiles.value;
  const [first] = files;
  return { kind: 'files', name: first?.name ?? 'files', files };
}

/** A model of files is loaded anew, since others may have the same name. */
function sameModel(choice: ModelChoice, name: string): boolean {
  return choice.kind !== 'files' && choice.name === name;
}

function ask(request: Request): Promise<'done' | 'cancelled' | 'failed'> {
  return new Promise((resolve) => {
    settle = resolve;
    worker?.postMessage(request);
  });
}

function receive(report: Report): void {
  switch (report.type) {
    case 'listing':
      store.listing.value = report.listing;
      store.setup.value = settled(store.setup.value, report.listing);
      break;
    case 'opened':
      store.environment.value = report.environment;
      store.adapter.value = report.adapter;
      break;
    case 'lost':
      store.model.value = undefined;
      store.status.value = { kind: 'unavailable' };
      store.trouble.value = {
        kind: 'device-lost',
        title: 'The GPU device was lost',
        detail: 'The driver was reset, or the browser took the GPU away.',
        advice:
          'Open it again; the model is loaded anew at the next run. If it happens again, choose a smaller model or a shorter prompt.',
      };
      break;
    case 'progress':
      store.status.value = { kind: 'busy', label: report.label, share: report.share };
      break;
    case 'loaded':
      store.model.value = report.model;
      break;
    case 'picture':
      store.ownPictures.value = [...store.ownPictures.value, report.picture];
      break;
    case 'row':
      store.ownRows.value = [...store.ownRows.value, report.row];
      if (report.side !== undefined) store.changeSide(report.side, { row: report.row });
      break;
    case 'done':
    case 'cancelled':
      if (report.type === 'cancelled') store.notice.value = 'Cancelled. What was measured before stays.';
      settle?.(report.type);
      break;
    case 'failed':
      // A lost device has been told already, as the cause of whatever failed with it.
      if (store.trouble.value?.kind !== 'device-lost') store.trouble.value = report.trouble;
      if (report.trouble.kind === 'device-lost') store.status.value = { kind: 'unavailable' };
      settle?.('failed');
      break;
    case 'sides':
      store.sides.value = report.titles.map(sideView);
      break;
    default:
      receiveOfSide(report);
  }
}

function receiveOfSide(
  report: Extract<Report, { type: 'side' | 'text' | 'image' | 'keys' | 'attention' | 'trouble' }>,
): void {
  const { side } = report;
  const view = store.sides.value[side];
  switch (report.type) {
    case 'side':
      store.changeSide(side, { started: true });
      store.status.value = { kind: 'busy', label: view?.title ?? '', share: undefined };
      break;
    case 'text':
      store.changeSide(side, { text: report.append ? (view?.text ?? '') + report.text : report.text });
      break;
    case 'image':
      store.changeSide(side, { image: { label: report.label, pixels: report.pixels } });
      break;
    case 'keys':
      store.changeSide(side, { keys: report.keys });
      break;
    case 'attention':
      store.changeSide(side, { steps: [...(view?.steps ?? []), report.step] });
      break;
    case 'trouble':
      store.changeSide(side, { trouble: report.trouble });
      break;
  }
}
