import type { Listing } from '../../listing.ts';
import { cancel, run } from '../client.ts';
import { familyOf, optionProblems } from '../setup.ts';
import { change, droppedFiles, model, notice, promptImage, setup, status } from '../store.ts';
import { MethodControls } from './method-controls.tsx';
import { ModelControls } from './model-controls.tsx';
import { TaskControls } from './task-controls.tsx';

/** The set-up, in the order in which one thinks of it, and its one action. */
export function Controls({ listing }: { readonly listing: Listing }) {
  const { kind } = status.value;
  const busy = kind === 'busy';
  const scenario = listing.scenarios.find(({ name }) => name === setup.value.task);
  const family = model.value?.family ?? familyOf(setup.value, listing);
  const lacks = lacking(listing, family === 'vision' && !scenario);
  return (
    <form
      class="controls"
      aria-label="Set-up"
      onSubmit={(event) => {
        event.preventDefault();
        if (!busy && kind === 'ready' && !lacks) void run();
      }}
    >
      <ModelControls listing={listing} disabled={busy} />
      <TaskControls listing={listing} disabled={busy} />
      <MethodControls listing={listing} disabled={busy} />
      <div class="action">
        {busy ? (
          <>
            <button type="button" class="primary" onClick={cancel}>
              Cancel
            </button>
            <Progress />
          </>
        ) : (
          <>
            <button type="submit" class="primary" disabled={kind !== 'ready' || lacks !== undefined}>
              {scenario ? 'Run the scenario' : 'Run and compare'}
            </button>
            <p class={lacks ? 'problem' : 'soft'}>
              {lacks ?? (kind === 'starting' ? 'Opening the GPU …' : notice.value || 'Dense first, then each method.')}
            </p>
          </>
        )}
      </div>
      <p class="link-row">
        <button type="button" class="quiet" onClick={() => void copyLink()}>
          Copy a link to this set-up
        </button>
      </p>
    </form>
  );
}

/** What keeps the set-up from running, or undefined. */
function lacking(listing: Listing, wantsImage: boolean): string | undefined {
  const { model: name, methods } = setup.value;
  if (name === 'files' && droppedFiles.value.length === 0) return 'Choose the model’s files first.';
  if (name === 'hub:') return 'Write the model’s name first, such as Qwen/Qwen3-0.6B.';
  if (wantsImage && !promptImage.value) return 'Choose an image first.';
  for (const method of methods) {
    const entry = listing.methods.find((candidate) => candidate.name === method.name);
    const problems = entry ? optionProblems(entry, method) : [];
    if (problems.length > 0) return `${entry?.title}: ${problems[0]}`;
  }
  return undefined;
}

/** Keeps the set-up in the address, and the address in the clipboard where the browser lets it. */
async function copyLink(): Promise<void> {
  change({});
  try {
    await navigator.clipboard.writeText(location.href);
    notice.value = 'The link is copied.';
  } catch {
    notice.value = 'Copy the link from the address bar: it holds this set-up.';
  }
}

function Progress() {
  const { value } = status;
  if (value.kind !== 'busy') return null;
  return (
    <div class="progress">
      <progress {...(value.share === undefined ? {} : { value: value.share })} max={1} aria-label={value.label} />
      <span class="soft">{value.label}</span>
    </div>
  );
}
