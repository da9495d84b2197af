import type { Listing } from '../../listing.ts';
import { cancel, run } from '../client.ts';
import { optionProblems } from '../setup.ts';
import { change, droppedFiles, notice, setup, status, trouble } from '../store.ts';
import { MethodControls } from './method-controls.tsx';
import { ModelControls } from './model-controls.tsx';
import { TaskControls } from './task-controls.tsx';

/** The set-up, in the order in which one thinks of it, and its one action. */
export function Controls({ listing }: { readonly listing: Listing }) {
  const { kind } = status.value;
  const busy = kind === 'busy';
  const scenario = listing.scenarios.find(({ name }) => name === setup.value.task);
  const lacks = lacking(listing) ?? (kind === 'unavailable' ? trouble.value?.title : undefined);
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
      <div class="action-place">
        <div class={`action ${busy ? 'busy' : ''}`}>
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
                {lacks ??
                  (kind === 'starting' ? 'Opening the GPU …' : notice.value || 'Dense first, then each method.')}
              </p>
            </>
          )}
        </div>
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
function lacking(listing: Listing): string | undefined {
  const { model: name, methods } = setup.value;
  if (name === 'files' && droppedFiles.value.length === 0) return 'Choose the model’s files first.';
  if (name === 'hub:') return 'Write the model’s name first, such as Qwen/Qwen3-0.6B.';
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
